import type { BackupLabel } from '../../../postgres/backup-label.ts';
import type { StoppedBackup } from '../../../postgres/backup-sql.ts';
import { PitrError } from '../../../errors.ts';
import type { StandbyDeps } from '../../deps.ts';
import type { Primary } from '../../primary/primary.ts';
import type { BackupRecord } from '../../backup-record/record.ts';
import type { CopyPlan } from './copy/planned-files.ts';
import type { Crew } from './copy/connections.ts';
import type { OnBackupEvent } from './progress/events.ts';
import type { BackupFacts } from './facts.ts';
import type { LocalFiles } from './copy/local-files.ts';

/** What the steps of one run learn and hand on to later ones. */
export interface BackupRun {
  /** The primary was asked to begin a backup that outlives its session, and has not answered (yet). */
  isStartOpen?: boolean;
  /** Between a successful start and a successful stop on the primary. */
  isBackupActive: boolean;
  /** From the moment at which the first byte below pgdata may have changed. */
  isCopyBegun: boolean;
  record?: BackupRecord;
  /** Made when the backup has begun on the primary. */
  plan?: CopyPlan;
  /** What was here before, for each root of the plan. */
  local?: readonly LocalFiles[];
  readonly beganMs: number;
  control?: Buffer;
  stopped?: StoppedBackup;
  label?: BackupLabel;
}

export interface BackupContext {
  readonly deps: StandbyDeps;
  readonly primary: Primary;
  readonly facts: BackupFacts;
  readonly run: BackupRun;
  readonly onEvent: OnBackupEvent;
  readonly crew?: Crew;
}

/** What an earlier step must have left: that it has not is a bug. */
export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the plan of the base backup has no step that gives ${what}`);
  return value;
}

/** Throws the signal's reason instead of what a command said that was ended by the signal. */
export function failure(deps: StandbyDeps, error: PitrError): PitrError {
  return deps.signal.aborted && deps.signal.reason instanceof PitrError ? deps.signal.reason : error;
}
