import type { ArchiverDeps } from '../deps.ts';
import type { ShipperPlaces } from '../markers/places.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { Board } from './board.ts';
import type { ShipperLane } from './lane-record.ts';
import type { WakeUp } from './signal.ts';

/** The state that the parts of one shipper share while its configuration is in force. */
export interface Work {
  readonly deps: ArchiverDeps;
  readonly cluster: Cluster;
  readonly places: ShipperPlaces;
  readonly board: Board;
  /** One per standby. */
  readonly lanes: readonly ShipperLane[];
  /** Aborted when the shipper ends or adopts another configuration. */
  readonly stop: AbortSignal;
  /** Wakes the part that decides what is queued and what is marked. */
  readonly decide: WakeUp;
  /** When a file was last delivered or queued. */
  lastProgressMs: number;
  /** The safety of each file must be determined again before anything is marked. */
  isRecheckDue: boolean;
  isSlowPathWarned: boolean;
}

/** Warns that archive_command needs Node to find its proofs, and why. */
export function warnSlowPath(work: Work, flaw: string): void {
  if (work.isSlowPathWarned) return;
  work.isSlowPathWarned = true;
  const { log, settings } = work.deps;
  log.warning(`archive_command has to start Node for each segment: ${flaw}`, {
    hint: `l_archivedir is "${settings.l_archivedir}". A local file system that keeps nanoseconds and GNU's cp in the PATH make it quick.`,
  });
}

export function isStopped({ stop }: Work): boolean {
  return stop.aborted;
}
