import { join } from 'node:path';
import { messageOf } from '../../../errors.ts';
import { is } from '../../../system/json.ts';
import { readNotified } from '../../../system/notified.ts';
import { isNotificationDue, notify, saidFields, type Severity } from '../../../system/notify.ts';
import { replaceDurably } from '../../../system/replaceable.ts';
import type { StandbyDeps } from '../../deps.ts';

/** The state that was last notified about the slot, in a file of its own, because -P and the server's calls may come at once. */
const stateName = '.cmd_standby.keep.json';
const stateFields = { said: is.optional(is.object(saidFields)) };

function statePath({ settings }: StandbyDeps): string {
  return join(settings.archivedir, stateName);
}

/** Logs and notifies how the slot is; a warning is logged only when it is notified as well. */
export async function sayState(deps: StandbyDeps, severity: Severity, message: string): Promise<void> {
  const { archivedir, notify_reminder: reminderS } = deps.settings;
  if (severity === 'critical') deps.log.error(message);
  const nowS = Math.floor(deps.now() / 1000);
  const said = (await readNotified(deps.log, statePath(deps), stateFields))?.said;
  if (!isNotificationDue(said, severity, nowS, reminderS)) return;
  if (severity === 'warning') deps.log.warning(message);
  const facts = { program: 'cmd_standby' as const, standby: deps.hostName, archivedir };
  notify(deps, deps.settings, { severity, name: 'keeping', message, facts });
  await replaceDurably(
    statePath(deps),
    `${JSON.stringify({ said: { severity, lastNotified: nowS } }, null, 2)}\n`,
  ).catch((error: unknown) => {
    deps.log.warning(`cannot remember what was notified: ${messageOf(error)}`);
  });
}
