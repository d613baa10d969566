import { PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import type { PatroniEvent } from '../command-line.ts';
import type { ArchiverDeps } from '../deps.ts';
import { ensureShipper, type ShipperAccess } from '../markers/ask.ts';
import { requirePinnedDirectory } from '../wal/cluster.ts';

/**
 * `--patroni-callback`: Patroni kills a callback that still runs when the next one is due, so all that this does is to leave
 * a shipper. That finds out by itself in which role the server is, waits for a promotion, and can be killed at any moment:
 * the marks of left timelines and the catch-up come from what the server and the standbys have, not from an event.
 */
export async function onPatroniEvent(
  deps: ArchiverDeps,
  { event, role }: PatroniEvent,
  access: ShipperAccess,
): Promise<number> {
  const { settings, log } = deps;
  if (settings.patroni_url === undefined)
    log.warning('the INI file has no patroni_url: the shipper does not ask whether this host is the leader', {
      hint: 'Set patroni_url: to the REST API of Patroni on this host, such as http://127.0.0.1:8008',
    });
  await requirePinnedDirectory(deps.layout);
  if (event === 'on_stop') return 0;
  const shipper = await ensureShipper(deps, access);
  if (shipper === 'none')
    throw new PitrError('the shipper cannot be started', {
      hint: 'Run cmd_archiver --ship by hand: it says why.',
    });
  log.notice(
    `Patroni says ${quoted(event, 40)} ${quoted(role, 40)}: the shipper ${shipper === 'runs' ? 'runs' : 'was started'}`,
  );
  return 0;
}
