/** A base backup of the primary that only a drill needs: `--drill --from-backup`. */
import type { WalLayout } from '../../postgres/lsn.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Force } from '../steps/force.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';

/** The primary before the backup begins. */
export interface NewBackupFacts {
  /** No WAL before this segment is needed. */
  readonly from: SegmentName;
  readonly layout: WalLayout;
  /** The size of what is copied; undefined if the role there lacks the right to ask for it. */
  readonly bytes: number | undefined;
}

/** The parts of `-B` that a drill runs; no action imports another one. */
export interface NewBackups {
  /** Throws a refusal if no base backup can be made. Changes nothing. */
  readonly look: (deps: StandbyDeps, place: DrillPlace, force: Force) => Promise<NewBackupFacts>;
  /** Makes one in the directory of the drill. The archive that it knows is the drill's own. */
  readonly make: (deps: StandbyDeps, place: DrillPlace, force: Force) => Promise<void>;
  /** Up to 9.5: ends the backup that a killed drill has left on the primary. Never fails. */
  readonly endLeft: (deps: StandbyDeps, place: DrillPlace) => Promise<void>;
}

/** The WAL that the copy needs is that of the new backup, not that of the standby. */
export function withBackup(origin: Origin, { from, layout }: NewBackupFacts): Origin {
  return { ...origin, wal: { ...origin.wal, from, layout, segments: [], inPgWal: [] } };
}
