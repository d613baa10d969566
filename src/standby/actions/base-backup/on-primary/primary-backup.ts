import { PitrError } from '../../../../errors.ts';
import { type BackupLabel, parseBackupLabel } from '../../../../postgres/backup-label.ts';
import {
  parseStoppedBackup,
  sessionsNamingSql,
  startBackupSql,
  stopBackupSql,
} from '../../../../postgres/backup-sql.ts';
import { parseLsn } from '../../../../postgres/lsn.ts';
import { clockSql } from '../../../../postgres/server-sql.ts';
import { systemClock } from '../../../../system/clock.ts';
import type { BackupRecord } from '../../../host/backup-record/record.ts';
import { explainUnarchived } from '../../../primary/archiver-statistics.ts';
import { findExclusiveBackup } from '../../../primary/backup-in-progress.ts';
import { checkpointLimitMs } from '../../../primary/checkpoint.ts';
import type { Primary } from '../../../primary/primary.ts';
import { isRemoteFile, readRemoteFile } from '../../../primary/remote-files.ts';
import type { Query } from '../../../primary/session.ts';
import { type BackupContext, needed } from '../context.ts';
import { recordOfStart, startIn, stopAt } from '../results.ts';
import { forgetBackup, noteBackup } from './backup-note.ts';
import { refuseNewInMap } from './tablespaces-meanwhile.ts';

/** `starting`: the primary was asked to begin a backup, and has not answered yet. */
export type BackupOnPrimary = 'none' | 'starting' | 'active' | 'ended';

/** A backup that has ended, and the data that recovery from the copy needs. */
export interface StoppedOnPrimary {
  readonly stopLsn: bigint;
  readonly label: BackupLabel;
  readonly labelFile: string;
  readonly tablespaceMap: string | undefined;
  readonly record: ReturnType<typeof startIn> & ReturnType<typeof stopAt> & { readonly stopTime: string };
}

/** The state of the backup: an undo must know it, however a step ended. */
interface Progress {
  onPrimary: BackupOnPrimary;
}

const pollMs = 1000;
const stopGraceMs = 10_000;
const longestLabel = 64 * 1024;
const afterStop = 'The copy is kept, and the next -B transfers only what has changed.';

/** The schema of the functions that begin and end a backup. */
function helperSchemaOf({ facts }: Pick<Primary, 'facts'>): string {
  return needed(facts.helperSchema, 'the schema of the helper functions');
}

function noteDirectoryOf({ noteDirectory, place }: BackupContext['facts']): string {
  return noteDirectory ?? place.archivedir;
}

export async function askClock(query: Query): Promise<string> {
  return (await query(clockSql))[0]?.[0] ?? '';
}

export async function startBackup(context: BackupContext, state: Progress): Promise<BackupRecord> {
  const { deps, primary, facts } = context;
  context.onEvent({ kind: 'phase', phase: 'checkpoint' });
  const startTime = await askClock(primary.query);
  const isFast = deps.settings.basebackup_checkpoint === 'fast';
  const start = startBackupSql(primary.facts.capabilities, helperSchemaOf(primary), facts.label, isFast);
  if (primary.facts.capabilities.backupApi === 'exclusive') {
    // If a run was killed during the checkpoint of its start, its backup has no label yet, and nothing would end it later.
    if (facts.notedBackup !== undefined) await abandonStart(context, facts.notedBackup, deps.pause);
    await noteBackup(noteDirectoryOf(facts), facts.label);
  }
  state.onPrimary = 'starting';
  const rows = await primary.query(start, checkpointLimitMs(deps.settings));
  state.onPrimary = 'active';
  return recordOfStart(facts, parseLsn(rows[0]?.[0] ?? ''), startTime);
}

/** Up to 9.5 the backup of a killed run remains. We hold this host's lock, so no other run needs the backup that was noted. */
export async function endLeftover({ deps, primary }: BackupContext, label: string): Promise<void> {
  const limitMs = deps.settings.wal_timeout * 1000 + stopGraceMs;
  await primary.query(stopBackupSql(helperSchemaOf(primary), label), limitMs);
}

/**
 * Ends an exclusive backup whose start was not answered. The primary continues its checkpoint even if the session is
 * lost, and is in backup mode afterwards. Until then there is no label by which the backup could be ended.
 */
export async function abandonStart(
  { deps, primary }: Pick<BackupContext, 'deps' | 'primary'>,
  label: string,
  pause = systemClock().pause,
): Promise<void> {
  const limitMs = deps.settings.wal_timeout * 1000;
  const startMs = deps.monotonicMs();
  for (;;) {
    // This order is necessary: if the start completes between the two queries, the label exists.
    const isUnderWay = (await primary.queryAside(sessionsNamingSql(label))).length > 0;
    const current = await findExclusiveBackup({ facts: primary.facts, query: primary.queryAside });
    if (!isUnderWay) {
      if (current?.label === label)
        await primary.queryAside(stopBackupSql(helperSchemaOf(primary), label), limitMs);
      return;
    }
    if (deps.monotonicMs() - startMs > limitMs) {
      throw new PitrError(
        `the primary is still beginning the backup "${label}"; the next -B ends it, and so does -A stop_basebackup`,
      );
    }
    await pause(pollMs);
  }
}

/**
 * Ends the backup that this run began, if it is still in progress. From 9.6 on it belongs to the session, which ends
 * with us. Before 9.6 the label ensures that we end no other backup.
 */
export async function abandonBackup(
  context: BackupContext,
  state: Progress,
  abandonOpen = abandonStart,
): Promise<void> {
  const { deps, primary, facts } = context;
  const { onPrimary } = state;
  const isOver = onPrimary === 'none' || onPrimary === 'ended';
  if (primary.facts.capabilities.backupApi !== 'exclusive' || isOver) return;
  if (onPrimary === 'starting') await abandonOpen(context, facts.label);
  else {
    const query = primary.lost.aborted ? primary.queryAside : primary.queryToUndo;
    await query(stopBackupSql(helperSchemaOf(primary), facts.label), deps.settings.wal_timeout * 1000);
  }
  state.onPrimary = 'ended';
  await forgetBackup(noteDirectoryOf(facts));
}

/** Up to 9.5 the server keeps both files in its data directory during the backup. */
async function readExclusiveFiles({ shell, facts }: Primary) {
  const { capabilities, dataDirectory } = facts;
  if (capabilities.backupApi !== 'exclusive') return {};
  const read = async (name: string) =>
    (await readRemoteFile(shell, `${dataDirectory}/${name}`, longestLabel)).toString('utf8');
  const hasMap =
    capabilities.hasTablespaceMap && (await isRemoteFile(shell, `${dataDirectory}/tablespace_map`));
  return {
    labelFile: await read('backup_label'),
    tablespaceMap: hasMap ? await read('tablespace_map') : undefined,
  };
}

/** Ends the backup in its session, and keeps the data that recovery from the copy needs. */
export async function stopBackup(context: BackupContext, state: Progress): Promise<StoppedOnPrimary> {
  const { deps, primary, facts } = context;
  const own = await readExclusiveFiles(primary);
  deps.log.debug('ending the backup; up to 9.6 the primary waits until its WAL is archived');
  const rows = await explainUnarchived(primary, deps.settings.wal_timeout, afterStop, (limitMs) =>
    primary.query(stopBackupSql(helperSchemaOf(primary), facts.label), limitMs),
  );
  const stopped = parseStoppedBackup(rows);
  state.onPrimary = 'ended';
  if (primary.facts.capabilities.backupApi === 'exclusive') await forgetBackup(noteDirectoryOf(facts));
  if (stopped === undefined) {
    throw new PitrError(`the backup "${facts.label}" was ended on the primary by another session`, {
      hint: 'The copy cannot be used. Run -B again.',
    });
  }
  const { stopLsn, labelFile = own.labelFile ?? '', tablespaceMap = own.tablespaceMap } = stopped;
  await refuseNewInMap(context, tablespaceMap);
  const label = parseBackupLabel(labelFile, 'backup_label');
  const stopTime = await askClock(primary.query);
  const record = { ...startIn(label), ...stopAt(facts, label, stopLsn), stopTime };
  return { stopLsn, label, labelFile, tablespaceMap, record };
}
