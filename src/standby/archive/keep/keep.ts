import { messageOf } from '../../../errors.ts';
import { keptSlot } from '../../../postgres/kept-slot.ts';
import type { Severity } from '../../../system/notify.ts';
import type { StandbyDeps } from '../../deps.ts';
import { type DataDirectory, readDataDirectory } from '../../server/data-directory.ts';
import { serverOf } from '../../server/server.ts';
import { finishKeeping } from './after-promotion.ts';
import { sayState } from './notice.ts';
import { describeHeld, describeLoss, type Visit, visitSlot } from './visit.ts';

/** All is well again once the slot holds nothing that the server would not keep by itself. */
function severityOf(visit: Visit): Severity | undefined {
  if (visit.kind === 'obstacle') return visit.loss === undefined ? 'warning' : 'critical';
  if (visit.kind === 'unknown' && visit.isRefused) return 'critical';
  if (visit.kind !== 'held') return undefined;
  if (visit.loss !== undefined) return 'critical';
  // A primary's slot holds what other standbys lack: whether that is well, others determine.
  return visit.isRecovering && visit.heldBytes === 0 ? 'ok' : undefined;
}

export function notKeptWords(reason: string): string {
  return `this standby keeps no WAL that its archive lacks: ${reason}`;
}

function describe(visit: Visit, archivedir: string): string {
  if (visit.kind === 'unknown')
    return `replication slot "${keptSlot}" cannot be advanced, and pg_wal grows: ${visit.reason}`;
  const isNotKept = visit.kind === 'obstacle';
  if ((isNotKept || visit.kind === 'held') && visit.loss !== undefined)
    return describeLoss(visit.loss, archivedir);
  if (isNotKept) return `${notKeptWords(visit.reason)} (keep_streamed_max: 0 if that is intended)`;
  return `${archivedir} holds all WAL that this standby does not need itself any more`;
}

async function sayVisit(deps: StandbyDeps, visit: Visit): Promise<void> {
  const severity = severityOf(visit);
  if (severity !== undefined) await sayState(deps, severity, describe(visit, deps.settings.archivedir));
}

/**
 * Visits the slot, and says and notifies what is not kept any more.
 *
 * @param saysObstacle whether to say, once, that a slot cannot be had; not where the caller says it
 */
export async function keepStreamedWal(
  deps: StandbyDeps,
  directory: DataDirectory,
  saysObstacle = true,
): Promise<Visit> {
  const visit = await visitSlot(deps, directory);
  if (visit.kind === 'held') deps.log.debug(describeHeld(visit));
  if (visit.kind === 'unknown' || visit.kind === 'obstacle') deps.log.debug(`streamed WAL: ${visit.reason}`);
  if (visit.kind !== 'obstacle' || visit.loss !== undefined || saysObstacle) await sayVisit(deps, visit);
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
