import { takeLock } from '../../system/lock.ts';
import { latestSaid } from '../../system/notify.ts';
import type { Concern, Trouble } from '../delivery/trouble.ts';
import { type Finding, recordFinding } from '../lane/modes.ts';
import { hasAllWal, readLaneState } from '../lane/state.ts';
import type { ShipperLane } from './lane-record.ts';
import type { Work } from './work.ts';

/** Takes the lane's lock, which excludes --flush, --abandon and an archive_command that ships by itself. */
export async function lockLane({ deps }: Work, lane: ShipperLane): Promise<boolean> {
  lane.lock ??= await takeLock(deps.run, lane.lockFile, 0);
  return lane.lock !== undefined;
}

export async function unlockLane(lane: ShipperLane): Promise<void> {
  const { lock } = lane;
  lane.lock = undefined;
  await lock?.release();
}

/** While WAL cannot be queued, nothing less serious is reported. */
function worstOf(lane: ShipperLane, finding: Finding): Finding {
  if (lane.blocked?.isNews !== true || hasAllWal(finding.health) || finding.health === 'abandoned')
    return finding;
  const sending = finding.reason === undefined || finding.health === 'unsafe' ? '' : `; ${finding.reason}`;
  return { ...finding, health: 'unsafe', reason: `${lane.blocked.reason}${sending}` };
}

async function recordNow({ deps }: Work, lane: ShipperLane, finding: Finding): Promise<void> {
  const state = await readLaneState(lane);
  if (state.abandoned !== undefined && finding.health !== 'abandoned') return;
  const before = { ...state, said: latestSaid(lane.said, state.said) };
  lane.said = await recordFinding(deps, lane, before, worstOf(lane, finding));
}

/** Notes the condition of the lane. This process holds its lock. */
export function record(work: Work, lane: ShipperLane, finding: Finding): Promise<void> {
  const noted = lane.recording.then(() => recordNow(work, lane, finding));
  lane.recording = noted.catch(() => undefined);
  return noted;
}

/**
 * Changes the lane's state file on behalf of a caller that does not hold the lock.
 *
 * @returns false if another process holds it: then nothing was done
 */
export async function withState(
  work: Work,
  lane: ShipperLane,
  use: () => Promise<unknown>,
): Promise<boolean> {
  const isOurs = lane.lock !== undefined;
  const lock = isOurs ? undefined : await takeLock(work.deps.run, lane.lockFile, 0);
  if (!isOurs && lock === undefined) return false;
  try {
    const done = lane.recording.then(use);
    lane.recording = done.catch(() => undefined);
    await done;
    return true;
  } finally {
    await lock?.release();
  }
}

/** If another process holds the lane, that process notes what it finds. */
export async function recordIfFree(work: Work, lane: ShipperLane, finding: Finding): Promise<void> {
  await withState(work, lane, () => recordNow(work, lane, finding));
}

/** A standby may be down for days: the same report is not repeated at every try. */
export function tell({ deps }: Work, lane: ShipperLane, { reason, hint }: Trouble | Concern): void {
  if (lane.toldReason === reason) return;
  lane.toldReason = reason;
  deps.log.warning(`standby ${lane.name}: ${reason}`);
  if (hint !== undefined) deps.log.warning(`HINT: ${hint}`);
}
