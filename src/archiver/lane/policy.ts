import { statfs } from 'node:fs/promises';
import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { inMegabytes } from '../../megabytes.ts';
import { formatLeft } from '../../postgres/left-timeline.ts';
import { type Clock, sinceBoot } from '../../system/clock.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { type Log, logFailure } from '../../system/log.ts';
import type { Trouble, TroubleKind } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { enqueue } from '../queue/enqueue.ts';
import type { LocalCopy } from '../queue/local-copy.ts';
import { isInQueue, listQueue, measureQueue, type QueueUse } from '../queue/queue.ts';
import type { Lane } from './lane.ts';
import type { Finding } from './modes.ts';
import { hasAllWal, type LaneState } from './state.ts';

// One policy for -F, --flush and the shipper: how long a standby in trouble is left alone, when its queue is full, when a
// standby is abandoned because of that, and which trouble an error is.

const shortestRestMs = 500;
/** The longest time for which a standby that has recovered goes unnoticed. */
const longestQuietMs = 10_000;
const longestRestMs = 60_000;
const notLeaderRestMs = 1_000;
/** A try for which PostgreSQL waits may take only a small part of PostgreSQL's time. */
const waitFactor = 5;

/** A try that failed. */
export interface FailedTry {
  readonly kind: TroubleKind;
  /** How long the standby has been in trouble. */
  readonly troubleMs: number;
  /** How long PostgreSQL waited for this try, or would wait for the next one. It never waits for the shipper's tries. */
  readonly waitedMs: number;
}

/** How long a standby is left alone: as long again as its trouble has lasted, and longer where PostgreSQL waits for each try. */
export function restMs({ kind, troubleMs, waitedMs }: FailedTry): number {
  // A conflict is found only by sending the file again, and only an operator can end it.
  if (kind === 'conflict') return longestRestMs;
  // Only this host is asked, and that costs little.
  if (kind === 'not-leader') return notLeaderRestMs;
  const quietMs = Math.min(longestQuietMs, Math.max(shortestRestMs, troubleMs));
  return Math.max(quietMs, Math.min(longestRestMs, waitedMs * waitFactor));
}

/** A `retryAt` that is further away than any rest comes from a clock that was set back. */
export function isResting({ retryAt }: LaneState, nowMs: number): boolean {
  return retryAt !== undefined && retryAt > nowMs && retryAt - nowMs <= longestRestMs;
}

/**
 * Since when, by `monotonicMs`, the lane has been in its present trouble; undefined if it is in none, or if that is
 * unknown.
 */
export function troubleSinceMs(
  clock: Pick<Clock, 'moment'>,
  { health, sinceMoment }: LaneState,
): number | undefined {
  if (hasAllWal(health) || health === 'behind' || health === 'abandoned') return undefined;
  return sinceBoot(clock, sinceMoment);
}

/** The end of the rest, for the state file. `waitedMs`: how long the try took. */
export function retryAtOf(
  clock: Pick<Clock, 'now' | 'moment' | 'monotonicMs'>,
  before: LaneState,
  kind: TroubleKind,
  waitedMs: number,
): number {
  const nowMs = clock.monotonicMs();
  const troubleMs = nowMs - (troubleSinceMs(clock, before) ?? nowMs);
  return clock.now() + restMs({ kind, troubleMs, waitedMs });
}

/** The condition of a lane after a failed try. `waitedMs`: how long the try took. */
export function findingOf(
  deps: ArchiverDeps,
  before: LaneState,
  { kind, reason, mark }: Trouble,
  waitedMs: number,
): Finding {
  return {
    health: kind,
    reason,
    refusedFor: mark && formatLeft(mark),
    retryAt: retryAtOf(deps, before, kind, waitedMs),
  };
}

/**
 * The reason why a file of this size must not be added to a queue with these contents; undefined if it may be added.
 */
function findLimit({ settings }: ArchiverDeps, use: QueueUse, bytes: number): string | undefined {
  const limit = settings.queue_max;
  if (limit?.kind === 'files' && use.files + 1 > limit.files) {
    return `its queue holds ${use.files} files (queue_max)`;
  }
  if (limit?.kind === 'bytes' && use.bytes + bytes > limit.bytes) {
    return `its queue holds ${inMegabytes(use.bytes)} of ${inMegabytes(limit.bytes)} (queue_max)`;
  }
  return undefined;
}

/** Whether a copy of this size leaves the file system less free space than the INI file demands. */
export async function findNoSpace({ settings }: ArchiverDeps, bytes: number): Promise<string | undefined> {
  const { l_archivedir, queue_min_free } = settings;
  if (queue_min_free === undefined) return undefined;
  const { bavail, bsize } = await statfs(l_archivedir);
  const free = bavail * bsize;
  if (free - bytes >= queue_min_free) return undefined;
  return `only ${inMegabytes(free)} are free on the file system of ${l_archivedir} (queue_min_free)`;
}

/** A remembered count can only say yes: another process may have sent files from the queue since. */
async function countUse(
  deps: ArchiverDeps,
  { queue }: Lane,
  bytes: number,
  remembered: QueueUse | undefined,
): Promise<QueueUse | undefined> {
  const { queue_max } = deps.settings;
  if (queue_max === undefined) return undefined;
  if (remembered !== undefined && findLimit(deps, remembered, bytes) === undefined) return remembered;
  return queue_max.kind === 'bytes'
    ? measureQueue(queue)
    : { files: (await listQueue(queue)).length, bytes: 0 };
}

/**
 * Throws if a file of this size must not be queued. Callers treat that like a full disk.
 *
 * @param remembered the last result: without it the queue is counted
 * @returns the contents of the queue with that file; undefined if nothing limits it
 */
export async function requireRoom(
  deps: ArchiverDeps,
  lane: Lane,
  bytes: number,
  remembered?: QueueUse,
): Promise<QueueUse | undefined> {
  const use = await countUse(deps, lane, bytes, remembered);
  const limit = use === undefined ? undefined : findLimit(deps, use, bytes);
  const reason = limit ?? (await findNoSpace(deps, bytes));
  if (reason === undefined) return use && { files: use.files + 1, bytes: use.bytes + bytes };
  throw new PitrError(`the queue of standby "${lane.name}" is full: ${reason}`, {
    cause: Object.assign(new Error(reason), { code: 'ENOSPC' }),
    hint: `Repair the standby, raise the limit, or abandon the standby: cmd_archiver --abandon ${lane.name}`,
  });
}

/** Puts a file into a standby's queue, within the limits. Takes and returns the queue's contents: see `requireRoom`. */
export async function queueWithinLimits(
  deps: ArchiverDeps,
  lane: Lane,
  copy: LocalCopy,
  remembered?: QueueUse,
): Promise<QueueUse | undefined> {
  const isThere = await isInQueue(lane.queue, copy.source.name);
  // One that is in the queue already takes no more room.
  const use = isThere ? remembered : await requireRoom(deps, lane, await copy.bytes(), remembered);
  await enqueue(deps, copy, lane);
  return use;
}

/** Since when a standby's queue has been full, and since when the standby has accepted nothing; by `monotonicMs`. */
export interface Fullness {
  readonly fullSinceMs: number;
  readonly silentSinceMs: number;
}

/** The times, as far as the state file shows them. `gotThrough`: the standby has just accepted other files. */
export function fullnessOf(
  clock: Pick<Clock, 'moment' | 'monotonicMs'>,
  state: LaneState,
  gotThrough: boolean,
): Fullness {
  const nowMs = clock.monotonicMs();
  const sinceMs = troubleSinceMs(clock, state) ?? nowMs;
  return {
    fullSinceMs: state.health === 'unsafe' ? sinceMs : nowMs,
    silentSinceMs: gotThrough ? nowMs : sinceMs,
  };
}

/**
 * A standby that accepts WAL, but more slowly than the primary writes it, keeps PostgreSQL waiting for this long at
 * most.
 */
const longestWaitMs = 60_000;

/** The answer to a file that could not be queued: PostgreSQL keeps it, or waits a little, or the standby is abandoned. */
export type FullAnswer = 'block' | 'wait' | 'give-up';

/**
 * A small queue is full within a moment, and a base backup is expensive: the standby is abandoned only if it has accepted
 * nothing for as long as a standby may take to answer.
 */
export function answerFull(
  { queue_full }: Pick<ArchiverSettings, 'queue_full'>,
  { standby }: Lane,
  error: PitrError,
  { fullSinceMs, silentSinceMs }: Fullness,
  nowMs: number,
): FullAnswer {
  const isFull = ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error.cause) ?? '');
  if (!isFull || queue_full !== 'abandon') return 'block';
  const isSilent = nowMs - silentSinceMs >= standby.ssh_timeout * 1000;
  return isSilent || nowMs - fullSinceMs >= longestWaitMs ? 'give-up' : 'wait';
}

/** A bug is logged at once, and then treated like any other failure. */
export function expectedError(log: Log, error: unknown): PitrError {
  if (error instanceof PitrError) return error;
  logFailure(log, error);
  return new PitrError(messageOf(error), { cause: error });
}

export function reasonOf({ message, detail }: PitrError): string {
  return detail === undefined ? message : `${message} (${detail})`;
}

/** An error is one more way to fail: the WAL can still be queued. */
export function troubleOfError(log: Log, error: unknown): Trouble {
  return { kind: 'failed', reason: reasonOf(expectedError(log, error)) };
}
