import { join } from 'node:path';
import { messageOf } from '../../../errors.ts';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import { readIfExists } from '../../../system/durable.ts';
import { type Checked, is, parseJson } from '../../../system/json.ts';
import { isNotificationDue, notify, saidFields, type Severity } from '../../../system/notify.ts';
import { replaceDurably } from '../../../system/replaceable.ts';
import type { StandbyDeps } from '../../deps.ts';
import { type DataDirectory, readDataDirectory } from '../../server/data-directory.ts';
import { serverOf } from '../../server/server.ts';
import { finishKeeping } from './after-promotion.ts';
import { describeHeld, describeLoss, type Visit, visitSlot } from './visit.ts';

/** The state that was last notified about the slot, in a file of its own, because -P and the server's calls may come at once. */
const stateName = '.cmd_standby.keep.json';
const stateFields = { said: is.optional(is.object(saidFields)) };

function statePath({ settings }: StandbyDeps): string {
  return join(settings.archivedir, stateName);
}

async function readState(deps: StandbyDeps): Promise<Checked<typeof stateFields>> {
  try {
    const content = await readIfExists(statePath(deps));
    return content === undefined ? {} : parseJson(content.toString('utf8'), stateFields);
  } catch (error) {
    deps.log.warning(`cannot understand "${statePath(deps)}": ${messageOf(error)}`);
    return {};
  }
}

/** All is well again once the slot holds nothing that the server would not keep by itself. */
function severityOf(visit: Visit): Severity | undefined {
  if (visit.kind === 'unknown' && visit.isRefused) return 'critical';
  if (visit.kind !== 'held') return undefined;
  if (visit.loss !== undefined) return 'critical';
  return visit.heldBytes === 0 ? 'ok' : undefined;
}

function describe(visit: Visit, archivedir: string): string {
  if (visit.kind === 'unknown')
    return `replication slot "${keptSlot}" cannot be advanced, and pg_wal grows: ${visit.reason}`;
  if (visit.kind === 'held' && visit.loss !== undefined) return describeLoss(visit.loss, archivedir);
  return `${archivedir} holds all WAL that this standby does not need itself any more`;
}

async function tell(deps: StandbyDeps, visit: Visit): Promise<void> {
  const severity = severityOf(visit);
  if (severity === undefined) return;
  const { archivedir, notify_reminder: reminderS } = deps.settings;
  const message = describe(visit, archivedir);
  if (severity !== 'ok') deps.log.error(message);
  const nowS = Math.floor(deps.now() / 1000);
  const { said } = await readState(deps);
  if (!isNotificationDue(said, severity, nowS, reminderS)) return;
  const facts = { program: 'cmd_standby', standby: deps.hostName, archivedir };
  notify(deps, deps.settings, { severity, message, facts });
  await replaceDurably(
    statePath(deps),
    `${JSON.stringify({ said: { severity, lastNotified: nowS } }, null, 2)}\n`,
  ).catch((error: unknown) => {
    deps.log.warning(`cannot remember what was notified: ${messageOf(error)}`);
  });
}

/** Visits the slot, and says and notifies what is not kept any more. */
export async function keepStreamedWal(deps: StandbyDeps, directory: DataDirectory): Promise<Visit> {
  const visit = await visitSlot(deps, directory);
  if (visit.kind === 'held') deps.log.debug(describeHeld(visit));
  if (visit.kind === 'unknown' || visit.kind === 'obstacle') deps.log.debug(`streamed WAL: ${visit.reason}`);
  await tell(deps, visit);
  return visit;
}

/** The same beside an action whose result it must not change. */
export async function keepStreamedWalAside(deps: StandbyDeps): Promise<void> {
  try {
    const directory = await readDataDirectory(deps.settings.pgdata);
    const visit = await keepStreamedWal(deps, directory);
    if (visit.kind === 'held' && !visit.isRecovering && directory.record.promotedAtTimeline !== undefined)
      await finishKeeping(serverOf(deps, directory.capabilities));
  } catch (error) {
    deps.log.debug(`streamed WAL: ${messageOf(error)}`);
  }
}
