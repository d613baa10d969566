import type { ArchiverDeps } from '../deps.ts';
import { lanesOf } from '../lane/lane.ts';
import { shipperPlaces } from '../markers/places.ts';
import { createCopier } from '../queue/local-copy.ts';
import type { Cluster } from '../wal/cluster.ts';
import { createBoard } from './board.ts';
import type { Frames } from './lane-frames.ts';
import { createShipperLane } from './lane-record.ts';
import { createWakeUp } from './signal.ts';

/** The state that the parts of one shipper share while its configuration is in force. */
export type Work = ReturnType<typeof createWork>;

/** @param stop aborted when the shipper ends or adopts another configuration */
export function createWork(deps: ArchiverDeps, cluster: Cluster, stop: AbortSignal) {
  const lanes = lanesOf(deps).map(createShipperLane);
  return {
    deps,
    cluster,
    places: shipperPlaces(deps.layout),
    board: createBoard(lanes.map(({ name }) => name)),
    /** One per standby. */
    lanes,
    /** Undefined if there is no zstd here. */
    frames: undefined as Frames | undefined,
    stop,
    copier: createCopier(deps),
    /** Wakes the part that decides what is queued and what is marked. */
    decide: createWakeUp(),
    /** When a file was last delivered or queued. */
    lastProgressMs: deps.monotonicMs(),
    /** The safety of each file must be determined again before anything is marked. */
    isRecheckDue: false,
    isSlowPathWarned: false,
  };
}

/** Warns that archive_command needs Node to find the proofs, and gives the reason. */
export function warnSlowPath(work: Work, flaw: string): void {
  if (work.isSlowPathWarned) return;
  work.isSlowPathWarned = true;
  const { log, settings } = work.deps;
  log.warning(`archive_command has to start Node for each segment: ${flaw}`, {
    hint: `l_archivedir is "${settings.l_archivedir}". archive_command is fast if that is a local file system that keeps nanoseconds, and if the cp in the PATH is GNU's.`,
  });
}

export function isStopped({ stop }: Work): boolean {
  return stop.aborted;
}
