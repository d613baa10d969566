import { basename, dirname } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { logFailure } from '../../system/log.ts';
import { abandonLane } from '../lane/modes.ts';
import { answerFull, type Fullness, queueWithinLimits, reasonOf } from '../lane/policy.ts';
import { readLaneState } from '../lane/state.ts';
import { canLeaveMarkers, leaveMarkers, removeMarker } from '../markers/markers.ts';
import { type LocalCopy, withLocalCopy } from '../queue/local-copy.ts';
import { isStill } from '../wal/wal-file.ts';
import {
  findComplete,
  isAnyMarked,
  isWanted,
  owedTo,
  type Shipment,
  shipmentsInOrder,
  updateHead,
} from './board.ts';
import { dropFrames, noteQueued } from './lane-frames.ts';
import { recordIfFree, withState } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { recheckBoardIfDue } from './recheck-board.ts';
import { watchDirectory } from './watch.ts';
import { isStopped, warnSlowPath, type Work } from './work.ts';

/** A queue that could not accept a file is tried again after this time. */
const blockedMs = 1_000;
const idleMs = 60_000;
/** How often is looked, without an event, whether another process has withdrawn markers. */
const withdrawnMs = 5_000;

interface Due {
  readonly shipment: Shipment;
  readonly lanes: readonly ShipperLane[];
}

/** PostgreSQL has waited long enough for the oldest segment: standbys that have not confirmed it count as behind. */
function declareLate(work: Work): number {
  const nowMs = work.deps.monotonicMs();
  const head = updateHead(work.board, nowMs);
  const shipment = head === undefined ? undefined : work.board.shipments.get(head.name);
  if (head === undefined || shipment === undefined) return idleMs;
  const leftMs = head.sinceMs + work.deps.settings.queue_after * 1000 - nowMs;
  if (leftMs > 0) return leftMs;
  for (const lane of work.lanes) if (shipment.owed.has(lane.name)) lane.isBehind = true;
  return idleMs;
}

function isQueueing(lane: ShipperLane, nowMs: number): boolean {
  if (lane.blocked !== undefined && lane.blocked.untilMs > nowMs) return false;
  return lane.isBehind || lane.restUntilMs > nowMs;
}

/** The oldest file that must be queued now, and the standbys that need it. */
function findDue(work: Work): Due | undefined {
  const nowMs = work.deps.monotonicMs();
  const taking = work.lanes.filter((lane) => isQueueing(lane, nowMs));
  if (taking.length === 0) return undefined;
  for (const shipment of shipmentsInOrder(work.board)) {
    const due = taking.filter(({ name }) => shipment.owed.has(name));
    if (due.length > 0) return { shipment, lanes: due };
  }
  return undefined;
}

/**
 * For an abandoned standby a copy is kept only until it has said whether it wants WAL again: it does not count as
 * safe. While it is being asked, the next files do not wait for its answer; the lane reports when it is no longer
 * behind.
 */
async function settle(work: Work, lane: ShipperLane, shipment: Shipment): Promise<void> {
  const { name } = lane;
  const { abandoned } = await readLaneState(lane);
  if (abandoned !== undefined) {
    shipment.abandoned.add(name);
    lane.restUntilMs = 0;
  }
  shipment.owed.delete(name);
  if (shipment.readers.has(name)) lane.stopDirect.abort();
  lane.blocked = undefined;
  lane.isBehind = true;
  work.lastProgressMs = work.deps.monotonicMs();
  lane.wakeUp.wake();
}

/** The blocked file has been queued: forget that the queue was full. */
function forgetFullness(work: Work): void {
  if (!work.board.isListed) return;
  for (const lane of work.lanes) {
    if (lane.fullSinceMs === undefined && lane.blocked === undefined) continue;
    if (owedTo(work.board, lane.name).length > 0) continue;
    lane.fullSinceMs = undefined;
    lane.blocked = undefined;
  }
}

/** The times, as far as this process knows them. An outage that began before the queue was full counts. */
function fullnessOf(lane: ShipperLane, nowMs: number): Fullness {
  const fullSinceMs = lane.fullSinceMs ?? nowMs;
  const troubleMs = lane.hasFailed ? lane.troubleSinceMs : undefined;
  return { fullSinceMs, silentSinceMs: Math.max(lane.lastDeliveredMs, troubleMs ?? fullSinceMs) };
}

function giveTime({ deps }: Work, lane: ShipperLane, { message }: PitrError, nowMs: number): void {
  if (lane.fullSinceMs === undefined)
    deps.log.warning(`${message}; it will be abandoned unless it accepts WAL soon`);
  lane.fullSinceMs ??= nowMs;
  lane.blocked = { reason: message, untilMs: nowMs + blockedMs, isNews: false };
}

/** Whether the standby was abandoned: not while another process holds its lane. */
async function giveUpByPolicy(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  error: PitrError,
): Promise<boolean> {
  const { name } = lane;
  const names = [shipment.file.name.text];
  const isDone = await withState(work, lane, () =>
    abandonLane(work.deps, lane, { by: 'policy', names, why: error.message }),
  );
  if (!isDone) return false;
  work.deps.log.error(error.message);
  lane.queueUse = undefined;
  lane.fullSinceMs = undefined;
  lane.blocked = undefined;
  lane.isBehind = false;
  lane.isAbandoned = true;
  lane.restUntilMs = 0;
  shipment.owed.delete(name);
  shipment.abandoned.add(name);
  if (shipment.readers.has(name)) lane.stopDirect.abort();
  lane.wakeUp.wake();
  return true;
}

/** PostgreSQL keeps the file; the operator is notified once. */
async function block(work: Work, lane: ShipperLane, shipment: Shipment, error: PitrError): Promise<void> {
  const reason = reasonOf(error);
  if (lane.blocked === undefined) work.deps.log.error(reason);
  lane.blocked = { reason, untilMs: work.deps.monotonicMs() + blockedMs, isNews: true };
  // A state file that cannot be read must not keep the other standbys from their turn.
  await recordIfFree(work, lane, { health: 'unsafe', reason, segment: shipment.file.name.text }).catch(
    (failure: unknown) => {
      work.deps.log.debug(`cannot note that ${lane.name} is stuck: ${messageOf(failure)}`);
    },
  );
}

async function queueForLane(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  copy: LocalCopy,
): Promise<void> {
  try {
    lane.queueUse = await queueWithinLimits(work.deps, lane, copy, lane.queueUse);
    await noteQueued(work, lane, shipment.file);
    await settle(work, lane, shipment);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    await handleFailure(work, lane, shipment, error);
  }
}

/** If the file has changed, it is another file now and is examined again. Otherwise there is no room, or worse. */
async function handleFailure(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  error: PitrError,
): Promise<void> {
  const { file } = shipment;
  if (!(await isStill(file))) {
    if (isWanted(work.board, shipment)) work.board.shipments.delete(file.name.text);
    return;
  }
  const nowMs = work.deps.monotonicMs();
  const answer = answerFull(work.deps.settings, lane, error, fullnessOf(lane, nowMs), nowMs);
  if (answer === 'wait') giveTime(work, lane, error, nowMs);
  else if (answer === 'block' || !(await giveUpByPolicy(work, lane, shipment, error))) {
    await block(work, lane, shipment, error);
  }
}

/** One local copy for all standbys that need it. */
async function queueShipment(work: Work, { shipment, lanes }: Due): Promise<void> {
  await withLocalCopy(work.copier, shipment.file, async (copy) => {
    for (const lane of lanes) {
      await queueForLane(work, lane, shipment, copy);
      // A file that could not be copied may fit now that a queue was freed: the others get a new attempt.
      if (shipment.abandoned.has(lane.name)) return;
    }
  });
}

/** Makes markers for all files that are safe everywhere. A file that has changed since is examined again. */
async function markComplete(work: Work): Promise<boolean> {
  const complete = findComplete(work.board);
  if (complete.length === 0) return false;
  const { deps, places, cluster, board } = work;
  const files = complete.map(({ file }) => file);
  const { names, flaw } = await leaveMarkers(deps.run, places, cluster.systemIdentifier, files);
  if (flaw !== undefined) warnSlowPath(work, flaw);
  const left = new Set(names);
  // Withdrawn meanwhile: the files are unchanged.
  if (left.size < files.length && !(await canLeaveMarkers(places, cluster.systemIdentifier))) return true;
  for (const shipment of complete) {
    const { text: name } = shipment.file.name;
    if (!isWanted(board, shipment)) await removeMarker(places, cluster.systemIdentifier, name);
    else if (left.has(name)) shipment.isMarked = true;
    else board.shipments.delete(name);
    if (left.has(name)) deps.log.debug(`${name} is safe`);
  }
  return true;
}

/** One round. Returns how long nothing needs to be done after it. */
async function decide(work: Work): Promise<number> {
  await recheckBoardIfDue(work);
  dropFrames(work);
  if (await markComplete(work)) return 0;
  forgetFullness(work);
  const waitMs = declareLate(work);
  const due = findDue(work);
  if (due === undefined) {
    if (work.lanes.some(({ blocked }) => blocked !== undefined)) return blockedMs;
    return isAnyMarked(work.board) ? Math.min(waitMs, withdrawnMs) : waitMs;
  }
  await queueShipment(work, due);
  return 0;
}

/** Another process that withdraws the markers removes their directory: PostgreSQL may be waiting for new ones. */
function watchMarkers({ places, decide }: Work): () => void {
  return watchDirectory(dirname(places.marks), (entry) => {
    if (entry === null || entry === basename(places.marks)) decide.wake();
  });
}

/** Decides what is queued, and marks what is safe, until the shipper stops. */
export async function runKeeper(work: Work): Promise<void> {
  const { deps } = work;
  const unwatch = watchMarkers(work);
  let waitMs = 0;
  let said = '';
  while (!isStopped(work)) {
    if (waitMs > 0) await work.decide.wait(waitMs);
    if (isStopped(work)) break;
    try {
      waitMs = await decide(work);
      said = '';
    } catch (error) {
      if (isStopped(work)) break;
      if (messageOf(error) !== said) logFailure(deps.log, error);
      said = messageOf(error);
      waitMs = blockedMs;
    }
  }
  unwatch();
}
