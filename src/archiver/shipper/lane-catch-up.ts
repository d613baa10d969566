import { messageOf } from '../../errors.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { readRemoteSentinel } from '../../verbs/remote-sentinel.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import {
  type Asked,
  askHoldings,
  beginCatchUp,
  type CatchUp,
  endPass,
  findOwnWal,
  isProofInForce,
  lackOf,
  owesCatchUp,
  proofOf,
  takeHoldings,
} from '../lane/catch-up.ts';
import { nextCatchUpBatch, sendCatchUpBatch } from '../lane/catch-up-batch.ts';
import { noteCatchUp } from '../lane/modes.ts';
import { batchFiles, transferLimitMs } from '../lane/send.ts';
import { type CaughtUp, type Lack, lacksNothing, readLaneState } from '../lane/state.ts';
import { withState } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { bytesAtOnce } from './lane-sources.ts';
import { isStopped, type Work } from './work.ts';

/** How often a standby that could not answer, that has no data, or that has a gap is asked again. */
const askAgainMs = 60_000;
const shortestWaitMs = 500;
const lookMs = 10_000;

/** How long nothing is to be done for the catch-up; 0 if something is. An abandoned standby gets nothing. */
export function catchUpWaitMs({ deps }: Work, { catchUp, isAbandoned }: ShipperLane): number {
  if (catchUp.isAsking || isAbandoned) return Infinity;
  return Math.max(0, catchUp.dueMs - deps.monotonicMs());
}

function putOff({ deps }: Work, { catchUp }: ShipperLane, waitMs: number): void {
  catchUp.run = undefined;
  catchUp.dueMs = deps.monotonicMs() + waitMs;
}

/** A new connection begins the catch-up anew, if one is owed: another process may have noted a proof, or ended it. */
export function resumeCatchUp(work: Work, lane: ShipperLane): void {
  const { catchUp } = lane;
  catchUp.run = undefined;
  catchUp.answer = undefined;
  const isWaiting = catchUp.dueMs > work.deps.monotonicMs() && catchUp.dueMs < Infinity;
  if (!isWaiting) catchUp.dueMs = work.deps.settings.state === 'offline' ? Infinity : 0;
}

/** Another process may have ended the proof (--abandon, for example), or the server was started again. */
export async function noticeLostProof({ deps }: Work, lane: ShipperLane): Promise<void> {
  const { catchUp } = lane;
  const nowMs = deps.monotonicMs();
  if (catchUp.dueMs < Infinity || nowMs - catchUp.lookedMs < lookMs) return;
  catchUp.lookedMs = nowMs;
  if (deps.settings.state === 'offline') return;
  if (!(await isProofInForce(lane, await readLaneState(lane), deps.settings.pgdata))) catchUp.dueMs = 0;
}

/** Looks whether the standby must be asked at all. */
async function begin(work: Work, lane: ShipperLane): Promise<CatchUp | undefined> {
  const { deps, cluster } = work;
  const own = await findOwnWal(deps);
  if (own === undefined) {
    putOff(work, lane, askAgainMs);
    return undefined;
  }
  if (!(await owesCatchUp(lane, await readLaneState(lane), own))) {
    putOff(work, lane, Infinity);
    return undefined;
  }
  return beginCatchUp(deps, lane, cluster);
}

/** Why it is not known what the standby lacks is said once. */
function tellUnknown({ deps }: Work, { catchUp, name }: ShipperLane, reason: string, hint?: string): void {
  if (catchUp.toldReason === reason) return;
  catchUp.toldReason = reason;
  deps.log.notice(`it is not known whether standby ${name} lacks WAL: ${reason}`, { hint });
}

/** The sentinel may have been written anew since the greeting. */
async function commandOf(delivery: Delivery): Promise<StandbyCommand | undefined> {
  const { sentinel, shell, place, standby } = delivery;
  if (sentinel?.command !== undefined) return sentinel.command;
  const read = await readRemoteSentinel(shell, place.archivedir, standby.ssh_timeout * 1000);
  return read.kind === 'read' ? read.sentinel.command : undefined;
}

async function note(work: Work, lane: ShipperLane, caughtUp: CaughtUp, lack: Lack): Promise<void> {
  await withState(work, lane, () => noteCatchUp(work.deps, lane, { caughtUp, lack }));
}

/** Asks beside normal delivery. The answer is dealt with by the next step, under the lane's lock. */
async function ask(work: Work, lane: ShipperLane, delivery: Delivery, run: CatchUp): Promise<void> {
  const { catchUp } = lane;
  const command = await commandOf(delivery);
  if (command === undefined) {
    const hint = `Run cmd_standby -C FILE --cleanup once on ${lane.name}.`;
    tellUnknown(work, lane, 'its sentinel does not say how cmd_standby is called there', hint);
    putOff(work, lane, askAgainMs);
    return;
  }
  catchUp.isAsking = true;
  void askHoldings(delivery, command, run)
    .catch((error: unknown): Asked => ({ kind: 'unknown', reason: messageOf(error) }))
    .then((asked) => {
      catchUp.isAsking = false;
      // The connection was replaced meanwhile.
      if (catchUp.run !== run) return;
      catchUp.answer = asked;
      lane.wakeUp.wake();
    });
}

async function takeAnswer(work: Work, lane: ShipperLane, run: CatchUp, asked: Asked): Promise<void> {
  switch (asked.kind) {
    case 'no-data':
      await note(work, lane, { ...proofOf(run), hasNoData: true }, lacksNothing);
      putOff(work, lane, askAgainMs);
      return;
    case 'unknown':
      tellUnknown(work, lane, asked.reason);
      putOff(work, lane, askAgainMs);
      return;
    case 'holds': {
      const reason = takeHoldings(run, asked.holdings);
      if (reason === undefined) return;
      tellUnknown(work, lane, reason, `Standby ${lane.name} needs a new base backup: cmd_standby -B there.`);
      putOff(work, lane, askAgainMs);
    }
  }
}

async function finishPass(work: Work, lane: ShipperLane, run: CatchUp): Promise<void> {
  const { catchUp } = lane;
  const end = endPass(run);
  if (end.kind === 'ask-again') return;
  if (end.kind === 'wait') {
    catchUp.waitMs = Math.min(askAgainMs, Math.max(shortestWaitMs, 2 * catchUp.waitMs));
    catchUp.dueMs = work.deps.monotonicMs() + catchUp.waitMs;
    return;
  }
  catchUp.waitMs = 0;
  catchUp.toldReason = undefined;
  const lack = lackOf(run);
  await note(work, lane, proofOf(run), lack);
  const hasAll = lack.missing.length === 0 && lack.conflicts.length === 0;
  if (hasAll) work.deps.log.debug(`standby ${lane.name} has all WAL from its restartpoint on`);
  putOff(work, lane, hasAll ? Infinity : askAgainMs);
}

/** One step: at most one batch, so that normal delivery waits no longer than for a batch of its own. */
async function step(work: Work, lane: ShipperLane, delivery: Delivery): Promise<Trouble | undefined> {
  const { catchUp } = lane;
  const run = (catchUp.run ??= await begin(work, lane));
  if (run === undefined) return undefined;
  const { answer } = catchUp;
  catchUp.answer = undefined;
  if (answer !== undefined) {
    await takeAnswer(work, lane, run, answer);
    return undefined;
  }
  if (run.pending === undefined) {
    await ask(work, lane, delivery, run);
    return undefined;
  }
  const limits = { files: batchFiles, bytes: bytesAtOnce(work, lane) };
  const batch = await nextCatchUpBatch(work.deps, lane, run, limits);
  if (batch === undefined) {
    await finishPass(work, lane, run);
    return undefined;
  }
  const runCommand: typeof work.deps.run = (command, options) =>
    work.deps.run(command, { ...options, signal: work.stop });
  const deps = { ...work.deps, run: runCommand };
  return (await sendCatchUpBatch(deps, delivery, run, batch, transferLimitMs(batch))).trouble;
}

/**
 * Does what is due for the catch-up, if anything is. The lane's lock is held, and nothing is being sent. A failure that
 * is not the standby's puts the catch-up off, and delays no delivery.
 */
export async function stepCatchUp(
  work: Work,
  lane: ShipperLane,
  delivery: Delivery,
): Promise<Trouble | undefined> {
  if (catchUpWaitMs(work, lane) > 0) return undefined;
  try {
    return await step(work, lane, delivery);
  } catch (error) {
    if (isStopped(work)) return undefined;
    tellUnknown(work, lane, messageOf(error));
    putOff(work, lane, askAgainMs);
    return undefined;
  }
}
