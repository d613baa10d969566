import type { StandbyTarget } from '../../config/options-archiver.ts';
import { takeLock, type Lock } from '../../system/lock.ts';
import { recordFinding, type Finding } from '../lane/report.ts';
import { readLaneState } from '../lane/state.ts';
import { lockFileOf } from '../layout.ts';
import type { QueueUse } from '../queue/room.ts';
import { latestSaid, type SaidState } from '../../system/notify.ts';
import { createWakeUp, type WakeUp } from './signal.ts';
import type { Work } from './work.ts';

/** One standby, as the shipper sees it. Its times are those of `monotonicMs`. */
export interface Lane {
  readonly standby: StandbyTarget;
  readonly wakeUp: WakeUp;
  /** It was not spoken to yet. */
  isNew: boolean;
  /** It has a queue, or did not confirm in time: what comes is queued at once, and delivered from the queue. */
  isBehind: boolean;
  /** It is left in peace until then. */
  restUntilMs: number;
  failures: number;
  /** The trouble that the log knows of. */
  toldReason: string | undefined;
  /** Of the last transfers; 0 as long as none has ended. */
  bytesPerMs: number;
  /** The lane's lock while this process holds it. */
  lock: Lock | undefined;
  /** Ends the transfer that reads from pg_wal. */
  stopDirect: AbortController;
  /** Files that this lane is sending straight from pg_wal. */
  readonly inFlight: Set<string>;
  /** Why its queue takes nothing, until when that is not tried again, and whether the operator is to know. */
  blocked: { readonly reason: string; readonly untilMs: number; readonly isNews: boolean } | undefined;
  /** Since when PostgreSQL has been waiting, now and then at least, for room in its queue. */
  fullSinceMs: number | undefined;
  /** Since when it has been in trouble. Read from the state file, so only believed after a failure of our own. */
  troubleSinceMs: number | undefined;
  /** When its state file was last looked at for what other processes did to it. */
  lookedMs: number;
  isAbandoned: boolean;
  /** `freed` of its state file, as far as the board knows of it. */
  freed: string | undefined;
  /** It is abandoned, and may be asked whether it wants WAL again. */
  isPollDue: boolean;
  /** When it last took a file. */
  lastDeliveredMs: number;
  /** What the queue holds; undefined until it was counted. */
  queueUse: QueueUse | undefined;
  /** What this process said of it last: on some disks the state file cannot be written any more. */
  said: SaidState | undefined;
  /** The last note on its state file: one at a time. */
  recording: Promise<void>;
}

export function createLane(standby: StandbyTarget): Lane {
  return {
    standby,
    wakeUp: createWakeUp(),
    isNew: true,
    isBehind: false,
    restUntilMs: 0,
    failures: 0,
    toldReason: undefined,
    bytesPerMs: 0,
    lock: undefined,
    stopDirect: new AbortController(),
    inFlight: new Set(),
    blocked: undefined,
    fullSinceMs: undefined,
    troubleSinceMs: undefined,
    lookedMs: -Infinity,
    isAbandoned: false,
    freed: undefined,
    isPollDue: false,
    lastDeliveredMs: -Infinity,
    queueUse: undefined,
    said: undefined,
    recording: Promise.resolve(),
  };
}

/** Takes the lane's lock, which keeps --flush, --abandon and an archive_command of its own out. */
export async function lockLane({ deps, layout }: Work, lane: Lane): Promise<boolean> {
  lane.lock ??= await takeLock(deps.run, lockFileOf(layout, lane.standby.name), 0);
  return lane.lock !== undefined;
}

export async function unlockLane(lane: Lane): Promise<void> {
  const { lock } = lane;
  lane.lock = undefined;
  await lock?.release();
}

/** While WAL cannot be queued either, nothing less than that is told. */
function worstOf(lane: Lane, finding: Finding): Finding {
  if (lane.blocked?.isNews !== true || finding.health === 'ok' || finding.health === 'abandoned')
    return finding;
  const sending = finding.reason === undefined || finding.health === 'unsafe' ? '' : `; ${finding.reason}`;
  return { ...finding, health: 'unsafe', reason: `${lane.blocked.reason}${sending}` };
}

async function recordNow({ deps, layout }: Work, lane: Lane, finding: Finding): Promise<void> {
  const state = await readLaneState(layout, lane.standby.name);
  if (state.abandoned !== undefined && finding.health !== 'abandoned') return;
  const before = { ...state, said: latestSaid(lane.said, state.said) };
  lane.said = await recordFinding(deps, lane.standby.name, before, worstOf(lane, finding));
}

/** Notes how the lane is. Its lock is held by this process. */
export function record(work: Work, lane: Lane, finding: Finding): Promise<void> {
  const noted = lane.recording.then(() => recordNow(work, lane, finding));
  lane.recording = noted.catch(() => undefined);
  return noted;
}

/**
 * Does something to the lane's state file for who may not hold the lock.
 *
 * @returns false if another process holds it: then nothing was done
 */
export async function withState(work: Work, lane: Lane, use: () => Promise<void>): Promise<boolean> {
  const isOurs = lane.lock !== undefined;
  const lock = isOurs
    ? undefined
    : await takeLock(work.deps.run, lockFileOf(work.layout, lane.standby.name), 0);
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

/** If another process holds the lane, that one notes what it finds. */
export async function recordIfFree(work: Work, lane: Lane, finding: Finding): Promise<void> {
  await withState(work, lane, () => recordNow(work, lane, finding));
}
