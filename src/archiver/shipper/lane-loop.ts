import { once } from 'node:events';
import { formatLeft } from '../../postgres/left-timeline.ts';
import { logFailure } from '../../system/log.ts';
import type { Trouble } from '../delivery/trouble.ts';
import { pollAbandoned } from '../lane/abandonment.ts';
import { withDelivery } from '../lane/connect.ts';
import { reserveLaneState } from '../lane/modes.ts';
import { isResting, restMs, troubleOfError, troubleSinceMs } from '../lane/policy.ts';
import { firstNames } from '../lane/send.ts';
import { type LaneState, readLaneState } from '../lane/state.ts';
import { writeLedger } from '../ledger/ledger.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { owedTo } from './board.ts';
import { catchUpWaitMs } from './lane-catch-up.ts';
import { endTaking, sendOverConnection } from './lane-connection.ts';
import { forgetQueued } from './lane-frames.ts';
import { lockLane, record, tell, unlockLane } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { hasWork, idleMs, lockRetryMs, noteMarksVersion } from './lane-work.ts';
import { isStopped, type Work } from './work.ts';

/**
 * --abandon and --resume end a rest. An abandoned standby is asked from time to time whether it wants WAL again, even
 * if there is none.
 */
async function noticeState({ deps }: Work, lane: ShipperLane): Promise<void> {
  const nowMs = deps.monotonicMs();
  if (nowMs - lane.lookedMs < idleMs) return;
  lane.lookedMs = nowMs;
  const { abandoned } = await readLaneState(lane);
  const isAbandoned = abandoned !== undefined;
  if (isAbandoned !== lane.isAbandoned) lane.restUntilMs = 0;
  lane.isAbandoned = isAbandoned;
  lane.isPollDue = isAbandoned;
}

/** An abandoned standby gets nothing, unless it asks to be resumed. */
async function resumeOrLose(work: Work, lane: ShipperLane, state: LaneState): Promise<boolean> {
  const { board, deps, cluster } = work;
  const { name } = lane;
  const owed = owedTo(board, name);
  const names = owed.map(({ file }) => file.name.text);
  // If it did not answer last time, nothing waits for it while it is asked again.
  if (state.retryAt !== undefined && (names.length === 0 || !isResting(state, deps.now()))) {
    lane.isBehind = true;
    work.decide.wake();
  }
  const resumed = await pollAbandoned(deps, lane, cluster, state, names);
  lane.queueUse = undefined;
  if (resumed !== undefined) {
    // It has answered: its earlier trouble is no reason to abandon it again.
    lane.isBehind = false;
    lane.hasFailed = false;
    lane.troubleSinceMs = undefined;
    return true;
  }
  for (const shipment of owed) {
    shipment.owed.delete(name);
    shipment.abandoned.add(name);
  }
  lane.isBehind = false;
  work.decide.wake();
  return false;
}

/** From now on new files are queued. The standby is left alone for a while, longer each time. */
async function noteTrouble(work: Work, lane: ShipperLane, trouble: Trouble): Promise<void> {
  const { deps } = work;
  const nowMs = deps.monotonicMs();
  lane.hasFailed = true;
  lane.troubleSinceMs ??= nowMs;
  lane.isBehind = true;
  const rest = restMs({ kind: trouble.kind, troubleMs: nowMs - lane.troubleSinceMs, waitedMs: 0 });
  lane.restUntilMs = nowMs + rest;
  work.decide.wake();
  tell(work, lane, trouble);
  const { kind, reason, mark } = trouble;
  const refusedFor = mark && formatLeft(mark);
  await record(work, lane, { health: kind, reason, refusedFor, retryAt: deps.now() + rest });
}

/** The life of one connection. The lane's lock is held. */
async function serve(work: Work, lane: ShipperLane): Promise<void> {
  lane.isNew = false;
  lane.isPollDue = false;
  const { deps, cluster } = work;
  const state = await readLaneState(lane);
  await noteMarksVersion(work, lane);
  lane.isAbandoned = state.abandoned !== undefined;
  if (state.abandoned !== undefined) {
    // An answer to an earlier greeting: no delivery follows that would take it.
    lane.standings = undefined;
    if (!(await resumeOrLose(work, lane, state))) return;
  }
  lane.isAbandoned = false;
  const names = await firstNames(lane);
  const use = await withDelivery(deps, lane, cluster, names, (delivery, request) =>
    untilStopped(work, sendOverConnection(work, lane, delivery, request)).finally(() => {
      endTaking(lane);
      forgetQueued(work, lane);
    }),
  );
  const trouble = use.kind === 'used' ? use.value : use.trouble;
  if (trouble !== undefined && !isStopped(work)) await noteTrouble(work, lane, trouble);
}

/** A hanging connection must not delay the shipper's end. */
async function untilStopped<T>({ stop }: Work, conversation: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  const stopped = once(stop, 'abort', { signal: over.signal }).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([conversation, stopped]);
  } finally {
    over.abort();
  }
}

async function serveSafely(work: Work, lane: ShipperLane): Promise<void> {
  try {
    await serve(work, lane);
  } catch (error) {
    if (isStopped(work)) return;
    await noteTrouble(work, lane, troubleOfError(work.deps.log, error));
  }
}

/** Adopts the state that another process noted last: nothing waits for a standby that is left alone. */
export async function adoptState(work: Work, lane: ShipperLane): Promise<void> {
  const state = await readLaneState(lane);
  lane.isBehind = isResting(state, work.deps.now()) || !(await isQueueEmpty(lane.queue));
  lane.troubleSinceMs = troubleSinceMs(work.deps, state) ?? lane.troubleSinceMs;
  lane.freed = state.freed;
  lane.said = state.said;
  // A file that an earlier process could not queue counts until it is seen to be safe. Otherwise the reports of the
  // trouble and of its end would be repeated again and again.
  if (state.health === 'unsafe')
    lane.blocked = { reason: state.reason ?? 'its queue accepts nothing', untilMs: 0, isNews: true };
  await reserveLaneState(lane).catch(() => undefined);
}

/** Serves one standby until the shipper stops. An error there affects no other standby. */
export async function runLane(work: Work, lane: ShipperLane): Promise<void> {
  const { deps } = work;
  let waitMs = 0;
  while (!isStopped(work)) {
    if (waitMs > 0) await lane.wakeUp.wait(waitMs);
    if (isStopped(work)) return;
    try {
      await noticeState(work, lane);
      const rest = lane.restUntilMs - deps.monotonicMs();
      waitMs = Math.min(idleMs, rest > 0 ? rest : Math.max(1, catchUpWaitMs(work, lane)));
      if (rest > 0 || !(await hasWork(work, lane))) continue;
      const isOurs = await lockLane(work, lane);
      if (isOurs) await serveSafely(work, lane);
      waitMs = isOurs ? Math.max(1, lane.restUntilMs - deps.monotonicMs()) : lockRetryMs;
    } catch (error) {
      logFailure(deps.log, error);
      lane.isBehind = true;
      waitMs = idleMs;
    } finally {
      if (lane.lock !== undefined) await writeLedger(deps, lane);
      await unlockLane(lane);
    }
  }
  await writeLastLedger(work, lane);
}

/** A process that holds the lane now must not delay our end: the next shipper asks the standby. */
async function writeLastLedger(work: Work, lane: ShipperLane): Promise<void> {
  if (lane.ledger.pending.length === 0) return;
  try {
    if (await lockLane(work, lane)) await writeLedger(work.deps, lane);
  } finally {
    await unlockLane(lane);
  }
}
