import { join } from 'node:path';
import type { Layout } from '../layout.ts';

/**
 * The shipper's files in `.archiver`. `current`, `pgdata` and `config` are symbolic links: the launcher compares its
 * arguments with them, without starting a program.
 */
export interface ShipperPlaces {
  /** Locked by the one shipper of this l_archivedir. */
  readonly lock: string;
  readonly log: string;
  /** `SYSTEM_IDENTIFIER/SEGMENT`: proofs that a segment is safe. */
  readonly marks: string;
  /**
   * Exists only if the file system cannot store exact times: its `stamp`, and `SEGMENT.written` beside the markers,
   * contain as text what stamp and marker would prove. If it exists, the launcher does not wait for a marker.
   */
  readonly written: string;
  /** Lines about the lanes for PostgreSQL's log. Where it exists, the launcher leaves a segment to Node. */
  readonly news: string;
  /** A link to the directory of this cluster's markers. */
  readonly current: string;
  readonly pgdata: string;
  /** A link to the INI file by which the markers were made. */
  readonly config: string;
  /** Has the modification time of that INI file. */
  readonly stamp: string;
  /** Two empty files whose times differ by a nanosecond: a shell that cannot see the difference can read no proof. */
  readonly earlier: string;
  readonly later: string;
}

export function shipperPlaces(layout: Layout): ShipperPlaces {
  const at = (name: string): string => join(layout.privateDirectory, name);
  return {
    lock: at('shipper.lock'),
    log: at('shipper.log'),
    marks: at('marks'),
    written: at('written'),
    news: at('news'),
    current: at('current'),
    pgdata: at('pgdata'),
    config: at('config'),
    stamp: at('stamp'),
    earlier: at('earlier'),
    later: at('later'),
  };
}
