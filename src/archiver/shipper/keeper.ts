import { messageOf, PitrError } from '../../errors.ts';
import { logFailure } from '../../system/log.ts';
import { abandonByPolicy } from '../lane/abandonment.ts';
import { mayGiveUp } from '../lane/give-up.ts';
import { readLaneState } from '../lane/state.ts';
import { enqueue, withLocalCopy, type LocalCopy } from '../queue/queue.ts';
import { findLimit, findNoSpace, isQueueFull, measureQueue, queueFull } from '../queue/room.ts';
import { identityOf, isUnchanged } from '../wal/wal-file.ts';
import {
  findComplete,
  isAnyMarked,
  isWanted,
  owedTo,
  shipmentsInOrder,
  updateHead,
  type Shipment,
} from './board.ts';
import { recordIfFree, withState } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import { canLeaveMarkers, leaveMarkers, removeMarker } from '../markers/markers.ts';
import { takeStockIfDue } from './take-stock.ts';
import { isStopped, tellFlaw, type Work } from './work.ts';

/** A queue that takes nothing is tried again after this time. */
const blockedMs = 1_000;
const idleMs = 60_000;
/** How soon it is noticed that another process has taken markers back: PostgreSQL may be waiting for them. */
const withdrawnMs = 1_000;

interface Due {
  readonly shipment: Shipment;
  readonly lanes: readonly ShipperLane[];
}

/** PostgreSQL has waited long enough for the oldest segment: who has not confirmed it counts as behind. */
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

/** The oldest file that is to be queued now, and for whom. */
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

async function requireRoom({ deps }: Work, lane: ShipperLane, bytes: number): Promise<void> {
  if (deps.settings.queue_max !== undefined) {
    lane.queueUse ??= await measureQueue(deps, lane);
    if (findLimit(deps, lane.queueUse, bytes) !== undefined) {
      // Somebody else may have sent from it: counted anew before it is called full.
      lane.queueUse = await measureQueue(deps, lane);
      const reason = findLimit(deps, lane.queueUse, bytes);
      if (reason !== undefined) throw queueFull(lane, reason);
    }
  }
  const reason = await findNoSpace(deps, bytes);
  if (reason !== undefined) throw queueFull(lane, reason);
}

function countIn(lane: ShipperLane, bytes: number): void {
  const use = lane.queueUse;
  if (use !== undefined) lane.queueUse = { files: use.files + 1, bytes: use.bytes + bytes };
}

/**
 * For an abandoned standby a copy is kept only until it has said whether it wants WAL again: it does not count as safe. As
 * long as it is being asked, what comes does not wait for its answer: the lane says when it is no longer behind.
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

/** PostgreSQL has got its room: what comes is a new case. */
function forgetFullness(work: Work): void {
  if (!work.board.isListed) return;
  for (const lane of work.lanes) {
    if (lane.fullSinceMs === undefined && lane.blocked === undefined) continue;
    if (owedTo(work.board, lane.name).length > 0) continue;
    lane.fullSinceMs = undefined;
    lane.blocked = undefined;
  }
}

/** A queue is full within a moment, and a base backup is dear: a standby that may only have been slow is waited for first. */
function isGivenTime({ deps }: Work, lane: ShipperLane, { message }: PitrError): boolean {
  const nowMs = deps.monotonicMs();
  const fullSinceMs = lane.fullSinceMs ?? nowMs;
  const troubleMs = lane.failures > 0 ? lane.troubleSinceMs : undefined;
  const silentSinceMs = Math.max(lane.lastDeliveredMs, troubleMs ?? fullSinceMs);
  if (mayGiveUp({ fullSinceMs, silentSinceMs }, nowMs, lane.standby.ssh_timeout * 1000)) return false;
  if (lane.fullSinceMs === undefined) deps.log.warning(`${message}; it is given up unless it takes WAL soon`);
  lane.fullSinceMs = fullSinceMs;
  lane.blocked = { reason: message, untilMs: nowMs + blockedMs, isNews: false };
  return true;
}

/** Whether the standby was given up: not while another process holds its lane. */
async function giveUpByPolicy(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  error: PitrError,
): Promise<boolean> {
  const { name } = lane;
  const names = [shipment.file.name.name];
  const isDone = await withState(work, lane, () => abandonByPolicy(work.deps, lane, error.message, names));
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

/** PostgreSQL keeps the file; the operator is told, once. */
async function block(work: Work, lane: ShipperLane, shipment: Shipment, error: PitrError): Promise<void> {
  const detail = error.detail === undefined ? '' : ` (${error.detail})`;
  const reason = `${error.message}${detail}`;
  if (lane.blocked === undefined) work.deps.log.error(reason);
  lane.blocked = { reason, untilMs: work.deps.monotonicMs() + blockedMs, isNews: true };
  await recordIfFree(work, lane, { health: 'unsafe', reason, segment: shipment.file.name.name });
}

async function queueForLane(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  copy: LocalCopy,
): Promise<void> {
  const { file } = shipment;
  const bytes = Number(file.identity.size);
  try {
    await requireRoom(work, lane, bytes);
    await enqueue(copy, file.name, lane);
    countIn(lane, bytes);
    await settle(work, lane, shipment);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    await handleFailure(work, lane, shipment, error);
  }
}

/** Changed under us: it is another file now, and looked at anew. Else there is no room, or worse. */
async function handleFailure(
  work: Work,
  lane: ShipperLane,
  shipment: Shipment,
  error: PitrError,
): Promise<void> {
  const { file } = shipment;
  const now = await identityOf(file.path).catch(() => undefined);
  if (now === undefined || !isUnchanged(now, file.identity)) {
    if (isWanted(work.board, shipment)) work.board.shipments.delete(file.name.name);
    return;
  }
  if (isQueueFull(error) && work.deps.settings.queue_full === 'abandon') {
    if (isGivenTime(work, lane, error) || (await giveUpByPolicy(work, lane, shipment, error))) return;
  }
  await block(work, lane, shipment, error);
}

/** One local copy for all who need it. */
async function queueShipment(work: Work, { shipment, lanes }: Due): Promise<void> {
  const { deps } = work;
  await withLocalCopy(shipment.file, deps.layout.temporary, deps.pid, async (copy) => {
    for (const lane of lanes) {
      await queueForLane(work, lane, shipment, copy);
      // What could not be copied may fit now that a queue was freed: begun anew for the others.
      if (shipment.abandoned.has(lane.name)) return;
    }
  });
}

/** Markers for all that is safe everywhere. One whose file changed since is looked at anew. */
async function markComplete(work: Work): Promise<boolean> {
  const complete = findComplete(work.board);
  if (complete.length === 0) return false;
  const { deps, places, cluster, board } = work;
  const files = complete.map(({ file }) => file);
  const { names, flaw } = await leaveMarkers(deps.run, places, cluster.systemIdentifier, files);
  if (flaw !== undefined) tellFlaw(work, flaw);
  const left = new Set(names);
  // Withdrawn meanwhile: the files are what they were.
  if (left.size < files.length && !(await canLeaveMarkers(places, cluster.systemIdentifier))) return true;
  for (const shipment of complete) {
    const { name } = shipment.file.name;
    if (!isWanted(board, shipment)) await removeMarker(places, cluster.systemIdentifier, name);
    else if (left.has(name)) shipment.isMarked = true;
    else board.shipments.delete(name);
    if (left.has(name)) deps.log.debug(`${name} is safe`);
  }
  return true;
}

/** One round; how long nothing is to be done after it. */
async function decide(work: Work): Promise<number> {
  await takeStockIfDue(work);
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

/** Decides what is queued, and marks what is safe, until the shipper stops. */
export async function runKeeper(work: Work): Promise<void> {
  const { deps } = work;
  let waitMs = 0;
  let said = '';
  while (!isStopped(work)) {
    if (waitMs > 0) await work.decide.wait(waitMs);
    if (isStopped(work)) return;
    try {
      waitMs = await decide(work);
      said = '';
    } catch (error) {
      if (isStopped(work)) return;
      if (messageOf(error) !== said) logFailure(deps.log, error);
      said = messageOf(error);
      waitMs = blockedMs;
    }
  }
}
