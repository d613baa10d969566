/** One drill that runs. */
import type { DrillOptions, StandbyDeps } from '../../../deps.ts';
import type { CheckResult } from '../../../drill/check-results.ts';
import type { NewBackupFacts, NewBackups } from '../../../drill/new-backup.ts';
import type { Origin } from '../../../drill/origin.ts';
import type { DrillPlace } from '../../../drill/place.ts';
import type { Watched } from '../../../drill/watch.ts';
import type { Phase } from '../../../recovery/phases.ts';
import type { Opened } from './run.ts';

/** All that is known of a drill so far: a failure is reported with it. */
export interface Course {
  readonly startedMs: number;
  readonly phases: Phase[];
  readonly checks: CheckResult[];
  opened?: Opened | undefined;
  /** The end of the primary's WAL when the copy was complete, and that time. */
  primary?: { readonly lsn: string | undefined; readonly atMs: number } | undefined;
  /** The estimate before the copy. */
  announcedBytes?: number | undefined;
  diskBytes?: number | undefined;
  /** How long the standby was stopped for its copy. */
  stoppedSeconds?: number | undefined;
}

export type Drilling = Readonly<{
  deps: StandbyDeps;
  options: DrillOptions;
  origin: Origin;
  place: DrillPlace;
  course: Course;
  /** With --from-backup. */
  newBackup?: { readonly backups: NewBackups; readonly facts: NewBackupFacts } | undefined;
  /** Undefined as long as nothing watches the drill. */
  watched?: Watched;
}>;
