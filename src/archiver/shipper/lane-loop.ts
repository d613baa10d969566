import { once } from 'node:events';
import { formatLeft } from '../../postgres/left-timeline.ts';
import { leftMarksVersion } from '../../system/left-marks.ts';
import { logFailure } from '../../system/log.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import type { Delivery } from '../delivery/delivery.ts';
import { sendBatches } from '../delivery/pipeline.ts';
import { mayTake, segmentTaker } from '../delivery/take-segment.ts';
import type { Concern, Trouble } from '../delivery/trouble.ts';
import { acceptsFrames } from '../frames/frame-use.ts';
import { pollAbandoned } from '../lane/abandonment.ts';
import { withDelivery } from '../lane/connect.ts';
import { greet } from '../lane/greet.ts';
import { noteRequest, reserveLaneState } from '../lane/modes.ts';
import { isResting, restMs, troubleOfError, troubleSinceMs } from '../lane/policy.ts';
import { batchFiles, firstNames, sendQueue } from '../lane/send.ts';
import { beginQuestion, longQuestionMs, takeStandings } from '../lane/standing.ts';
import { type LaneState, readLaneState, wellBut } from '../lane/state.ts';
import { learnTail } from '../ledger/learn.ts';
import { isLedgerDue, writeLedger } from '../ledger/ledger.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { offerAgain, owedTo, wasLost } from './board.ts';
import { catchUpWaitMs, noticeLostProof, resumeCatchUp, stepCatchUp } from './lane-catch-up.ts';
import { forgetQueued } from './lane-frames.ts';
import { lockLane, record, unlockLane, withState } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { directSource, queuePace } from './lane-sources.ts';
import { runToEnd } from './run-to-end.ts';
import { isStopped, type Work } from './work.ts';

/** The longest time that a lane holds its lock; --abandon and --flush wait for it. */
const maxLockHoldMs = 5_000;
/** After an interruption it may take a little longer: a queue that gets no time at all would never become shorter. */
const shortestBurstMs = 2_000;
/** How often a lane checks whether another process has added to its queue. */
const idleMs = 10_000;
const lockRetryMs = 200;
/** How often a standby is greeted again of which the operator must know something. */
const concernMs = 30_000;
/** How often in a row the marks in a sentinel may change while files are sent. */
const mostOutdated = 3;

type BurstEnd = Trouble | 'interrupted' | undefined;

/** --resume may have ended the abandonment. */
async function noticeResumption({ board }: Work, lane: ShipperLane): Promise<void> {
  if (!wasLost(board, lane.name)) return;
  const { abandoned } = await readLaneState(lane);
  if (abandoned === undefined) offerAgain(board, lane.name);
}

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

async function hasWork(work: Work, lane: ShipperLane): Promise<boolean> {
  // The first segment must find the connection open, and the operator must learn early what is wrong with it.
  if (lane.isNew || lane.isPollDue || lane.standings !== undefined) return true;
  await noticeLostProof(work, lane);
  if (catchUpWaitMs(work, lane) === 0) return true;
  await noticeResumption(work, lane);
  if (owedTo(work.board, lane.name).some(({ file }) => !lane.inFlight.has(file.name.text))) {
    return true;
  }
  return !(await isQueueEmpty(lane.queue)) || areMarksOutdated(work, lane);
}

async function burstDirectly(
  work: Work,
  lane: ShipperLane,
  delivery: Delivery,
  untilMs: number,
): Promise<BurstEnd> {
  const source = directSource(work, lane, untilMs);
  const end = new AbortController();
  const onStop = (): void => {
    end.abort();
  };
  lane.stopDirect = end;
  work.stop.addEventListener('abort', onStop, { once: true });
  const { signal } = end;
  const run = runToEnd(work.deps.startSession);
  const deps = {
    ...work.deps,
    run: (...[command, options]: Parameters<typeof run>) => run(command, { ...options, signal }),
  };
  try {
    const { take, takeFrames } = lane.taker ?? {};
    const direct = { ...delivery, takeSegment: take, takeFrames, stopTransfer: signal };
    const trouble = await sendBatches(deps, direct, source);
    if (trouble === undefined) return undefined;
    return signal.aborted || source.wasOvertaken() ? 'interrupted' : trouble;
  } finally {
    work.stop.removeEventListener('abort', onStop);
    for (const { readers } of work.board.shipments.values()) readers.delete(lane.name);
    lane.inFlight.clear();
  }
}

/** The queue is sent first; files go directly from pg_wal only once it is empty. */
async function burst(work: Work, lane: ShipperLane, delivery: Delivery, untilMs: number): Promise<BurstEnd> {
  const { deps } = work;
  if (!(await isQueueEmpty(lane.queue))) {
    lane.isBehind = true;
    const run: typeof deps.run = (command, options) => deps.run(command, { ...options, signal: work.stop });
    const pace = queuePace(work, lane, untilMs);
    const fast = { ...delivery, takeFrames: lane.taker?.takeFrames, stopTransfer: work.stop };
    const { trouble, isEmpty } = await sendQueue({ ...deps, run }, lane, fast, pace);
    if (trouble !== undefined) return isStopped(work) ? 'interrupted' : trouble;
    if (!isEmpty) {
      await record(work, lane, { health: 'behind', reason: 'its queue is being sent' });
      return undefined;
    }
  }
  lane.isBehind = false;
  return burstDirectly(work, lane, delivery, untilMs);
}

/** A burst succeeded: reports that, and releases the lane. */
async function noteBurst(work: Work, lane: ShipperLane): Promise<void> {
  lane.hasFailed = false;
  lane.troubleSinceMs = undefined;
  lane.restUntilMs = 0;
  if (lane.concern === undefined) lane.toldReason = undefined;
  else tell(work, lane, lane.concern);
  // A short-lived queue is not reported: only one that outlasts a burst.
  if (await isQueueEmpty(lane.queue)) await record(work, lane, wellBut(lane.concern));
  if (isLedgerDue(work.deps, lane)) await writeLedger(work.deps, lane);
  await unlockLane(lane);
}

/** The last files before a pause. */
async function writeDueLedger(work: Work, lane: ShipperLane): Promise<void> {
  if (!isLedgerDue(work.deps, lane) || !(await lockLane(work, lane))) return;
  await writeLedger(work.deps, lane);
  await unlockLane(lane);
}

/** Returns with the lane's lock held, or because the shipper stops. */
async function awaitWork(work: Work, lane: ShipperLane): Promise<void> {
  let waitMs = 0;
  while (!isStopped(work)) {
    if (waitMs > 0) await lane.wakeUp.wait(waitMs);
    if (isStopped(work)) return;
    if (!(await hasWork(work, lane))) {
      await writeDueLedger(work, lane);
      waitMs = Math.min(idleMs, catchUpWaitMs(work, lane));
    } else if (await lockLane(work, lane)) return;
    else waitMs = lockRetryMs;
  }
}

/** A new directory for incoming files: a process that was sending to the last one may still write there. */
async function greetAgain(work: Work, lane: ShipperLane, delivery: Delivery): Promise<Delivery | Trouble> {
  const place = { ...delivery.place, run: work.deps.nonce() };
  const next = { ...delivery, place };
  const names = await firstNames(lane);
  const partial = owedTo(work.board, lane.name).map(({ file }) => file.name.text);
  const expected = [...names, ...partial].slice(0, batchFiles);
  await noteMarksVersion(work, lane);
  const greeted = await greet(work.deps, lane, work.cluster, next, expected);
  if (greeted.kind === 'trouble') return greeted.trouble;
  if (greeted.resumeRequest !== undefined) await delivery.noteRequest?.(greeted.resumeRequest);
  await noteGreeting(work, lane, greeted.delivery);
  return greeted.delivery;
}

function endTaking(lane: ShipperLane): void {
  lane.taker?.end();
  lane.taker = undefined;
  lane.acceptsFrames = () => false;
}

/** A question that is still open is asked beside the delivery: the answer wakes the lane. */
async function noteGreeting({ deps }: Work, lane: ShipperLane, delivery: Delivery): Promise<void> {
  lane.concern = delivery.concern;
  endTaking(lane);
  if (mayTake(delivery)) lane.taker = segmentTaker(deps, delivery);
  lane.acceptsFrames = acceptsFrames(delivery);
  lane.greetedMs = deps.monotonicMs();
  const { answer } = await beginQuestion(deps, lane, delivery, longQuestionMs);
  void answer.then((standings) => {
    if (standings.length === 0) return;
    lane.standings = standings;
    lane.wakeUp.wake();
  });
}

/**
 * PostgreSQL archives as soon as it is promoted, but -F999 declares the old timeline left only later: a standby that was
 * greeted before must still be informed.
 */
async function areMarksOutdated({ deps }: Work, { marksVersion }: ShipperLane): Promise<boolean> {
  return marksVersion !== (await leftMarksVersion(deps.layout.root));
}

/** Call this before the marks are read. */
async function noteMarksVersion({ deps }: Work, lane: ShipperLane): Promise<void> {
  lane.marksVersion = await leftMarksVersion(deps.layout.root);
}

/** The lane's lock is held. */
async function noteAnswer({ deps }: Work, lane: ShipperLane, { ownPast }: Delivery): Promise<void> {
  const { standings = [], concern } = lane;
  lane.standings = undefined;
  lane.concern = await takeStandings(deps, lane, { concern, ownPast }, standings);
}

/** A new base backup there, or its cmd_standby, may have ended the concern: only a greeting shows that. */
function isGreetingDue({ deps }: Work, { concern, greetedMs }: ShipperLane): boolean {
  return concern !== undefined && deps.monotonicMs() - greetedMs >= concernMs;
}

/**
 * Releases the lane until there is work again. Returns whether this connection can be used then. It may have been lost
 * while nothing was being sent: one more try costs little, so that is no trouble.
 */
async function pause(work: Work, lane: ShipperLane, delivery: Delivery): Promise<boolean> {
  await noteAnswer(work, lane, delivery);
  await noteBurst(work, lane);
  await awaitWork(work, lane);
  if (isStopped(work)) return false;
  const { abandoned } = await readLaneState(lane);
  lane.isAbandoned = abandoned !== undefined;
  if (lane.isAbandoned || isGreetingDue(work, lane) || (await areMarksOutdated(work, lane))) return false;
  // Nothing was interrupted, so the directory for incoming files is still right; each commit checks the rest.
  const answer = await delivery.shell.run(archiveWork('alive', delivery.place, {}), {
    limitMs: lane.standby.ssh_timeout * 1000,
  });
  return answer.kind !== 'lost';
}

/** Sends over one lasting connection until something fails. The lane's lock is held at the start. */
async function sendOverConnection(
  work: Work,
  lane: ShipperLane,
  first: Delivery,
  request?: string,
): Promise<Trouble | undefined> {
  const { monotonicMs } = work.deps;
  const note = (seen: string) => withState(work, lane, () => noteRequest(work.deps, lane, seen));
  let delivery: Delivery = { ...first, noteRequest: note };
  let pauseMs = monotonicMs() + maxLockHoldMs;
  if (request !== undefined) await note(request);
  await noteGreeting(work, lane, first);
  await learnTail(work.deps, lane, first);
  resumeCatchUp(work, lane);
  let outdated = 0;
  for (;;) {
    const untilMs = Math.max(pauseMs, monotonicMs() + shortestBurstMs);
    const result = (await burst(work, lane, delivery, untilMs)) ?? (await stepCatchUp(work, lane, delivery));
    if (isStopped(work)) return undefined;
    // Nothing is wrong with the standby: it is greeted again.
    const isOutdated =
      typeof result === 'object' && (result.kind === 'marks-changed' || result.isOfFrames === true);
    outdated = isOutdated ? outdated + 1 : 0;
    const ended = isOutdated && outdated <= mostOutdated ? 'interrupted' : result;
    // A lane that is interrupted repeatedly must release its lock as well.
    if (ended === undefined || (ended === 'interrupted' && monotonicMs() >= pauseMs)) {
      if (!(await pause(work, lane, delivery))) return undefined;
      pauseMs = monotonicMs() + maxLockHoldMs;
    }
    if (ended === 'interrupted') {
      const next = await greetAgain(work, lane, delivery);
      if ('kind' in next) return next;
      delivery = next;
    } else if (ended !== undefined) return ended;
  }
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

/** A standby may be down for days: the same report is not repeated at every try. */
function tell({ deps }: Work, lane: ShipperLane, { reason, hint }: Trouble | Concern): void {
  if (lane.toldReason === reason) return;
  lane.toldReason = reason;
  deps.log.warning(`standby ${lane.name}: ${reason}`);
  if (hint !== undefined) deps.log.warning(`HINT: ${hint}`);
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
