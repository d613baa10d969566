import { join } from 'node:path';
import type { Layout } from '../layout.ts';

/**
 * What the shipper keeps in `.archiver`. `current`, `pgdata` and `config` are symbolic links: by them the launcher compares
 * what it was called with, without starting a program.
 */
export interface ShipperPlaces {
  /** Locked by the one shipper of this l_archivedir. */
  readonly lock: string;
  readonly log: string;
  /** `SYSTEM_IDENTIFIER/SEGMENT`: proofs that a segment is safe. */
  readonly marks: string;
  /**
   * There only if times cannot be carried: its `stamp`, and `SEGMENT.written` beside the marks, say in words what stamp and
   * mark would prove. Where it is, the launcher does not wait for a mark.
   */
  readonly written: string;
  /** To the directory of this cluster's marks. */
  readonly current: string;
  readonly pgdata: string;
  /** To the INI file that the marks were made by. */
  readonly config: string;
  /** Carries the modification time of that INI file. */
  readonly stamp: string;
  /** Two empty files whose times differ by a nanosecond: a shell that does not see that can read no proof. */
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
    current: at('current'),
    pgdata: at('pgdata'),
    config: at('config'),
    stamp: at('stamp'),
    earlier: at('earlier'),
    later: at('later'),
  };
}
