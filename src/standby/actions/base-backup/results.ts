import type { BackupLabel } from '../../../postgres/backup-label.ts';
import { formatLsn, segmentContaining, segmentEndingAt } from '../../../postgres/lsn.ts';
import { programVersion } from '../../../system/program-root.ts';
import type { WrittenSentinel } from '../../../system/sentinel.ts';
import type { BackupRecord } from '../../host/backup-record/record.ts';
import type { Made } from '../../slot/there.ts';
import type { StepEntry } from '../../steps/step-table.ts';
import { type BackupContext, needed } from './context.ts';
import type { CopyPlan } from './copy/planned-files.ts';
import { type BackupFacts, layoutOf } from './facts.ts';
import type { BackupOnPrimary, StoppedOnPrimary } from './on-primary/primary-backup.ts';
import type { Before } from './pgdata/pgdata-files.ts';
import type { Moved } from './wal/set-aside.ts';

type PartOf<K extends keyof BackupRecord> = Required<Pick<BackupRecord, K>>;

/** The parts of a backup by pg_basebackup from which recovery starts. */
export interface ReceivedBackup {
  readonly control: Buffer;
  readonly label: BackupLabel;
  readonly record: PartOf<'startLsn' | 'startSegment' | 'timeline' | 'stopTime' | 'copy'>;
}

/** The result of each step, for later ones and for its own undo. */
export interface StepResults {
  'write-sentinel': WrittenSentinel;
  'set-aside': Moved;
  'make-slot': Made;
  'start-backup': BackupRecord;
  'note-beginning': BackupRecord;
  'plan-copy': CopyPlan;
  'mark-copying': Before;
  'copy-files': PartOf<'copy'>;
  'fetch-control': { readonly control: Buffer };
  verify: PartOf<'verified'>;
  'stop-backup': StoppedOnPrimary;
  receive: ReceivedBackup;
  'await-stop': { readonly stopLsn: bigint; readonly record: PartOf<'stopLsn' | 'stopSegment'> };
  finish: BackupRecord;
}

/** One base backup in progress. */
export interface BackupRun extends BackupContext {
  readonly results: { [K in keyof StepResults]?: StepResults[K] };
  readonly state: {
    onPrimary: BackupOnPrimary;
    /** True from the moment at which the first byte below pgdata may have changed. */
    isCopyBegun: boolean;
  };
  readonly beganMs: number;
}

/** A step that leaves no result. */
export const step = <P = unknown>(entry: StepEntry<P, BackupRun>): StepEntry<P, BackupRun> => entry;

interface GivingEntry<R, P> extends StepEntry<P, BackupRun> {
  readonly run: (run: BackupRun, step: P) => Promise<R>;
}

/** A step that leaves a result: it is filed under the step's kind. */
export function giving<K extends keyof StepResults, P = unknown>(
  kind: K,
  entry: GivingEntry<StepResults[K], P>,
): StepEntry<P, BackupRun> {
  return {
    ...entry,
    run: async (run, step) => {
      const result: StepResults[K] = await entry.run(run, step);
      run.results[kind] = result;
    },
  };
}

/** The result of the step that the plan contains: each way of copying has its own. */
export function resultOf<K extends keyof StepResults>(
  { results }: Pick<BackupRun, 'results'>,
  ...kinds: readonly K[]
): StepResults[K] {
  for (const kind of kinds) {
    const result = results[kind];
    if (result !== undefined) return result;
  }
  throw new Error(`the plan of the base backup has no step ${kinds.join(' or ')} before this one`);
}

/** All facts that are known about the backup by now. */
export function recordOf(run: Pick<BackupRun, 'results'>): BackupRecord {
  const { results } = run;
  return {
    ...resultOf(run, 'start-backup', 'note-beginning'),
    ...results.receive?.record,
    ...results['copy-files'],
    ...results.verify,
    ...results['stop-backup']?.record,
    ...results['await-stop']?.record,
  };
}

/** The same at the end, with the total duration. */
export function finalRecord(run: BackupRun): BackupRecord {
  const record = recordOf(run);
  const seconds = secondsBetween(run.beganMs, run.deps.monotonicMs());
  const copy = record.copy === undefined ? {} : { copy: { ...record.copy, seconds } };
  return { ...record, ...copy, status: 'complete' };
}

/** To a tenth of a second. */
export function secondsBetween(fromMs: number, toMs: number): number {
  return Math.round((toMs - fromMs) / 100) / 10;
}

/** The record of a backup that is beginning. */
export function recordOfStart(facts: BackupFacts, lsn: bigint, startTime: string): BackupRecord {
  const { primary, label, source } = facts;
  const { timeline } = needed(facts.position, 'the position of the primary');
  return {
    status: 'copying',
    label,
    systemIdentifier: primary.systemIdentifier,
    primaryPgdata: primary.dataDirectory,
    timeline,
    segmentSize: primary.settings.walSegmentSize,
    startLsn: formatLsn(lsn),
    startSegment: segmentContaining(timeline, lsn, layoutOf(facts)).text,
    startTime,
    timeZone: primary.settings.timeZone,
    toolVersion: programVersion(),
    ...(source === undefined ? {} : { source: source.host }),
  };
}

/** The start of recovery, as backup_label has it. */
export function startIn({ startLsn, startSegment }: BackupLabel) {
  return {
    startLsn: formatLsn(startLsn),
    startSegment: startSegment.text,
    timeline: startSegment.timeline,
  };
}

export function stopAt(facts: BackupFacts, { startSegment }: BackupLabel, lsn: bigint) {
  return {
    stopLsn: formatLsn(lsn),
    stopSegment: segmentEndingAt(startSegment.timeline, lsn, layoutOf(facts)).text,
  };
}
