/** Whether a lane has something to do, and the wait for it. */
import { leftMarksVersion } from '../../system/left-marks.ts';
import { readLaneState } from '../lane/state.ts';
import { isLedgerDue, writeLedger } from '../ledger/ledger.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { offerAgain, owedTo, wasLost } from './board.ts';
import { catchUpWaitMs, noticeLostProof } from './lane-catch-up.ts';
import { lockLane, unlockLane } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { isStopped, type Work } from './work.ts';

/** How often a lane checks whether another process has added to its queue. */
export const idleMs = 10_000;
export const lockRetryMs = 200;

/** --resume may have ended the abandonment. */
async function noticeResumption({ board }: Work, lane: ShipperLane): Promise<void> {
  if (!wasLost(board, lane.name)) return;
  const { abandoned } = await readLaneState(lane);
  if (abandoned === undefined) offerAgain(board, lane.name);
}

export async function hasWork(work: Work, lane: ShipperLane): Promise<boolean> {
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

/**
 * PostgreSQL archives as soon as it is promoted, but -F999 declares the old timeline left only later: a standby that was
 * greeted before must still be informed.
 */
export async function areMarksOutdated({ deps }: Work, { marksVersion }: ShipperLane): Promise<boolean> {
  return marksVersion !== (await leftMarksVersion(deps.layout.root));
}

/** Call this before the marks are read. */
export async function noteMarksVersion({ deps }: Work, lane: ShipperLane): Promise<void> {
  lane.marksVersion = await leftMarksVersion(deps.layout.root);
}

/** The last files before a pause. */
async function writeDueLedger(work: Work, lane: ShipperLane): Promise<void> {
  if (!isLedgerDue(work.deps, lane) || !(await lockLane(work, lane))) return;
  await writeLedger(work.deps, lane);
  await unlockLane(lane);
}

/** Returns with the lane's lock held, or because the shipper stops. */
export async function awaitWork(work: Work, lane: ShipperLane): Promise<void> {
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
