import { join } from 'node:path';
import type { Layout } from '../layout.ts';

/**
 * The shipper's files in `.archiver`. `current`, `pgdata` and `config` are symbolic links: the launcher compares its
 * arguments with them, without starting a program.
 */
export type ShipperPlaces = Readonly<ReturnType<typeof shipperPlaces>>;

export function shipperPlaces(layout: Layout) {
  const at = (name: string): string => join(layout.privateDirectory, name);
  return {
    /** Locked by the one shipper of this l_archivedir. */
    lock: at('shipper.lock'),
    log: at('shipper.log'),
    /** Made and removed by an archive_command that waits for the shipper: the shipper then looks for a change of which it got no event. */
    look: at('look'),
    /** `SYSTEM_IDENTIFIER/SEGMENT`: proofs that a segment is safe. */
    marks: at('marks'),
    /**
     * Exists only if the file system cannot store exact times: its `stamp`, and `SEGMENT.written` beside the markers,
     * contain as text what stamp and marker would prove. If it exists, the launcher does not wait for a marker.
     */
    written: at('written'),
    /** Lines about the lanes for PostgreSQL's log. Where it exists, the launcher leaves a segment to Node. */
    news: at('news'),
    /** A link to the directory of this cluster's markers. */
    current: at('current'),
    pgdata: at('pgdata'),
    /** A link to the INI file by which the markers were made. */
    config: at('config'),
    /** Has the modification time of that INI file. */
    stamp: at('stamp'),
    /** Two empty files whose times differ by a nanosecond: a shell that cannot see the difference can read no proof. */
    earlier: at('earlier'),
    later: at('later'),
  };
}
