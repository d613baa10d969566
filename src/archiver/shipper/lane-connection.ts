/** The use of one connection by a lane: bursts of WAL, pauses between them, and new greetings. */
import { archiveWork } from '../../verbs/archive-requests.ts';
import type { Delivery } from '../delivery/delivery.ts';
import { sendBatches } from '../delivery/pipeline.ts';
import { mayTake, segmentTaker } from '../delivery/take-segment.ts';
import type { Trouble } from '../delivery/trouble.ts';
import { acceptsFrames } from '../frames/frame-use.ts';
import { greet } from '../lane/greet.ts';
import { noteRequest } from '../lane/modes.ts';
import { batchFiles, firstNames, sendQueue } from '../lane/send.ts';
import { beginQuestion, longQuestionMs, takeStandings } from '../lane/standing.ts';
import { readLaneState, wellBut } from '../lane/state.ts';
import { learnTail } from '../ledger/learn.ts';
import { isLedgerDue, writeLedger } from '../ledger/ledger.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { owedTo } from './board.ts';
import { resumeCatchUp, stepCatchUp } from './lane-catch-up.ts';
import { record, tell, unlockLane, withState } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { directSource, queuePace } from './lane-sources.ts';
import { areMarksOutdated, awaitWork, noteMarksVersion } from './lane-work.ts';
import { runToEnd } from './run-to-end.ts';
import { isStopped, type Work } from './work.ts';

/** The longest time that a lane holds its lock; --abandon and --flush wait for it. */
const maxLockHoldMs = 5_000;
/** After an interruption it may take a little longer: a queue that gets no time at all would never become shorter. */
const shortestBurstMs = 2_000;
/** How often a standby is greeted again of which the operator must know something. */
const concernMs = 30_000;
/** How often in a row the marks in a sentinel may change while files are sent. */
const mostOutdated = 3;

type BurstEnd = Trouble | 'interrupted' | undefined;

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

export function endTaking(lane: ShipperLane): void {
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
export async function sendOverConnection(
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
