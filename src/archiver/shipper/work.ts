import type { Cluster } from '../cluster.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Layout } from '../layout.ts';
import type { Board } from './board.ts';
import type { ShipperPlaces } from './places.ts';
import type { WakeUp } from './signal.ts';

/** What the parts of one shipper share as long as its configuration is in force. */
export interface Work {
  readonly deps: ArchiverDeps;
  readonly cluster: Cluster;
  readonly layout: Layout;
  readonly places: ShipperPlaces;
  readonly board: Board;
  /** Aborted when the shipper ends or adopts another configuration. */
  readonly stop: AbortSignal;
  /** Wakes whoever decides what is queued and what is marked. */
  readonly decide: WakeUp;
  /** When a file was last delivered or queued. */
  lastProgressMs: number;
  /** What is safe is to be found out anew before anything is marked. */
  isStockDue: boolean;
}

export function isStopped({ stop }: Work): boolean {
  return stop.aborted;
}
