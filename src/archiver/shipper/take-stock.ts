import { readLaneState } from '../lane/state.ts';
import type { ShipperLane } from './lane-record.ts';
import { canLeaveMarkers, prepareMarkers } from '../markers/markers.ts';
import type { Work } from './work.ts';

/** What was queued for, or delivered to, a standby that was abandoned does not count as safe any more. */
async function takeStockOf({ board }: Work, lane: ShipperLane): Promise<void> {
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
 * Whoever frees a queue takes back all markers, and the directory in which they are made: what the board remembers of copies
 * may be over. The directory is made first and the standbys are looked at then: an abandonment is seen here, or it takes this
 * directory away as well, and no marker can be left by what was true before it.
 */
export async function takeStockIfDue(work: Work): Promise<void> {
  const { board, cluster, deps, places } = work;
  if (!work.isStockDue && (await canLeaveMarkers(places, cluster.systemIdentifier))) return;
  work.isStockDue = true;
  await prepareMarkers(places, cluster.systemIdentifier, deps.settings.pgdata);
  for (const lane of work.lanes) await takeStockOf(work, lane);
  for (const shipment of board.shipments.values()) shipment.isMarked = false;
  work.isStockDue = false;
}
