/** Learns from the standby what a process that was killed delivered and did not write into the ledger. */
import { parseWalName } from '../../postgres/wal-name.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { addLearned, lastNoted } from './ledger.ts';

/** Once in the life of a process. Call this after a greeting. Never fails. The caller holds the lane's lock. */
export async function learnTail(deps: ArchiverDeps, lane: Lane, delivery: Delivery): Promise<void> {
  if (lane.ledger.isTailKnown) return;
  lane.ledger.isTailKnown = true;
  const last = await lastNoted(lane);
  if (last === undefined) return;
  const { shell, place, standby } = delivery;
  const answer = await shell.run(archiveWork('segments-after', place, { last: last.text }), {
    limitMs: standby.ssh_timeout * 1000,
  });
  if (answer.kind === 'lost') return;
  const names = answer.lines.filter((line) => parseWalName(line).kind === 'segment');
  if (names.length > 0) await addLearned(deps, lane, new Set(names));
}
