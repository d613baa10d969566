import { readLaneState } from '../lane/state.ts';
import { canLeaveMarkers, prepareMarkers } from '../markers/markers.ts';
import type { ShipperLane } from './lane-record.ts';
import type { Work } from './work.ts';

/** A file that was queued for, or delivered to, a standby that was abandoned does not count as safe any more. */
async function recheckLane({ board }: Work, lane: ShipperLane): Promise<void> {
  const { name } = lane;
  const { abandoned, freed } = await readLaneState(lane);
  if (abandoned === undefined && freed === lane.freed) return;
  for (const shipment of board.shipments.values()) {
    if (shipment.owed.has(name)) continue;
    if (abandoned !== undefined) shipment.abandoned.add(name);
    else {
      // Abandoned and resumed before we looked.
      shipment.abandoned.delete(name);
      shipment.owed.add(name);
    }
  }
  lane.freed = freed;
  lane.queueUse = undefined;
  if (abandoned !== undefined && !lane.isAbandoned) lane.restUntilMs = 0;
  lane.isAbandoned = abandoned !== undefined;
  lane.wakeUp.wake();
}

/**
 * A process that frees a queue withdraws all markers, and the directory in which they are made: the copies that the
 * board remembers may be gone. We make the directory first and look at the standbys then. Either we see the
 * abandonment, or it removes this directory as well: no marker can be left for a copy that is gone.
 */
export async function recheckBoardIfDue(work: Work): Promise<void> {
  const { board, cluster, deps, places } = work;
  if (!work.isRecheckDue && (await canLeaveMarkers(places, cluster.systemIdentifier))) return;
  work.isRecheckDue = true;
  await prepareMarkers(places, cluster.systemIdentifier, deps.settings.pgdata);
  for (const lane of work.lanes) await recheckLane(work, lane);
  for (const shipment of board.shipments.values()) shipment.isMarked = false;
  work.isRecheckDue = false;
}
