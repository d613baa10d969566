import { PitrError } from '../../../../errors.ts';
import { parseBackupLabel } from '../../../../postgres/backup-label.ts';
import {
  parseStoppedBackup,
  startBackupSql,
  stopBackupSql,
  type StoppedBackup,
} from '../../../../postgres/backup-sql.ts';
import { checkControlFile, controlFileBytes } from '../../../../postgres/control-file.ts';
import { formatLsn, parseLsn, segmentContaining, segmentEndingAt } from '../../../../postgres/lsn.ts';
import { explainUnarchived } from '../../../primary/archiver-statistics.ts';
import { checkpointLimitMs } from '../../../primary/checkpoint-limit.ts';
import { programVersion } from '../../../../system/program-version.ts';
import { helperSchemaOf } from './helper-schema.ts';
import { isRemoteFile, readRemoteFile } from '../../../primary/remote-files.ts';
import { abandonStart } from './abandon-start.ts';
import { forgetBackup, noteBackup } from './backup-note.ts';
import { needed, type BackupContext } from '../context.ts';
import { layoutOf } from '../plan.ts';
import { refuseNewInMap } from './tablespaces-meanwhile.ts';

/** The server's own clock, in ISO 8601 and UTC: what -R is compared with. */
export const clockSql = `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const stopGraceMs = 10_000;
const longestLabel = 64 * 1024;

export async function askClock({ primary }: BackupContext): Promise<string> {
  return (await primary.query(clockSql))[0]?.[0] ?? '';
}

export async function startBackup(context: BackupContext, label: string): Promise<void> {
  const { deps, primary, facts, run } = context;
  context.onEvent({ kind: 'phase', phase: 'checkpoint' });
  const startTime = await askClock(context);
  const start = startBackupSql(
    helperSchemaOf(primary),
    label,
    deps.settings.basebackup_checkpoint === 'fast',
  );
  const isExclusive = primary.facts.capabilities.backupApi === 'exclusive';
  if (isExclusive) {
    // A start whose run was killed in its checkpoint has no label yet, and would have nobody who ends it.
    if (facts.notedBackup !== undefined) await abandonStart(context, facts.notedBackup, deps.pause);
    await noteBackup(facts.place.archivedir, label);
  }
  run.isStartOpen = isExclusive;
  const rows = await primary.query(start, checkpointLimitMs(deps.settings));
  run.isStartOpen = false;
  run.isBackupActive = true;
  const lsn = parseLsn(rows[0]?.[0] ?? '');
  const timeline = needed(facts.position, 'the position').timeline;
  run.record = {
    status: 'copying',
    label,
    systemIdentifier: facts.primary.systemIdentifier,
    primaryPgdata: facts.primary.dataDirectory,
    timeline,
    segmentSize: facts.primary.settings.walSegmentSize,
    startLsn: formatLsn(lsn),
    startSegment: segmentContaining(timeline, lsn, layoutOf(facts)).name,
    startTime,
    timeZone: facts.primary.settings.timeZone,
    toolVersion: programVersion(),
    ...(facts.source === undefined ? {} : { source: facts.source.host }),
  };
}

/** Up to 9.5 a run that was killed leaves its backup behind: the lock of this host says that no other run needs what we noted. */
export async function endLeftover({ deps, primary }: BackupContext, label: string): Promise<void> {
  await primary.query(
    stopBackupSql(helperSchemaOf(primary), label),
    deps.settings.wal_timeout * 1000 + stopGraceMs,
  );
}

/**
 * Ends the backup that this run began, if it still goes on. From 9.6 it is bound to the session, which ends
 * with us; before, the label makes sure that no other backup is ended.
 */
export async function abandonBackup(
  context: BackupContext,
  label: string,
  abandonOpen = abandonStart,
): Promise<void> {
  const { deps, primary, facts, run } = context;
  if (primary.facts.capabilities.backupApi !== 'exclusive') return;
  if (run.isStartOpen === true) await abandonOpen(context, label);
  else if (run.isBackupActive)
    await (primary.lost.aborted ? primary.queryAside : primary.queryToUndo)(
      stopBackupSql(helperSchemaOf(primary), label),
      deps.settings.wal_timeout * 1000,
    );
  else return;
  run.isStartOpen = false;
  run.isBackupActive = false;
  await forgetBackup(facts.place.archivedir);
}

/** Up to 9.5 the server keeps both files in its data directory while the backup goes on. */
async function readExclusiveFiles({ primary }: BackupContext): Promise<Partial<StoppedBackup>> {
  const { capabilities, dataDirectory } = primary.facts;
  if (capabilities.backupApi !== 'exclusive') return {};
  const read = async (name: string) =>
    (await readRemoteFile(primary.shell, `${dataDirectory}/${name}`, longestLabel)).toString('utf8');
  const hasMap =
    capabilities.hasTablespaceMap && (await isRemoteFile(primary.shell, `${dataDirectory}/tablespace_map`));
  return {
    labelFile: await read('backup_label'),
    tablespaceMap: hasMap ? await read('tablespace_map') : undefined,
  };
}

const afterStop = 'The copy is kept, and the next -B transfers only what has changed.';

/** Ends the backup in the session that began it, and keeps what recovery from the copy needs. */
export async function stopBackup(context: BackupContext, label: string): Promise<void> {
  const { deps, primary, facts, run } = context;
  const own = await readExclusiveFiles(context);
  deps.log.debug('ending the backup; up to 9.6 the primary waits until its WAL is archived');
  const rows = await explainUnarchived(primary, deps.settings.wal_timeout, afterStop, (limitMs) =>
    primary.query(stopBackupSql(helperSchemaOf(primary), label), limitMs),
  );
  const stopped = parseStoppedBackup(rows);
  run.isBackupActive = false;
  if (primary.facts.capabilities.backupApi === 'exclusive') await forgetBackup(facts.place.archivedir);
  if (stopped === undefined) {
    throw new PitrError(`the backup "${label}" was ended on the primary by somebody else`, {
      hint: 'The copy cannot be used. Run -B again.',
    });
  }
  const labelFile = stopped.labelFile ?? own.labelFile;
  run.stopped = { ...stopped, labelFile, tablespaceMap: stopped.tablespaceMap ?? own.tablespaceMap };
  await refuseNewInMap(context, run.stopped.tablespaceMap);
  run.label = parseBackupLabel(needed(labelFile, 'the label'), 'backup_label');
  const { startSegment, startLsn } = run.label;
  run.record = {
    ...needed(run.record, 'the record'),
    startLsn: formatLsn(startLsn),
    startSegment: startSegment.name,
    timeline: startSegment.timeline,
    stopLsn: formatLsn(stopped.stopLsn),
    stopSegment: segmentEndingAt(startSegment.timeline, stopped.stopLsn, layoutOf(facts)).name,
    stopTime: await askClock(context),
  };
}

const controlAttempts = 5;

/** Reads pg_control after all other files and while the backup goes on, as the manual asks; torn reads are repeated. */
export async function fetchControl({ primary, run }: BackupContext): Promise<void> {
  const path = `${primary.facts.dataDirectory}/global/pg_control`;
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await readRemoteFile(primary.shell, path, controlFileBytes);
    const check = checkControlFile(bytes);
    if (check.kind === 'good') {
      run.control = bytes;
      return;
    }
    if (attempt === controlAttempts)
      throw new PitrError(`"${path}" on the primary cannot be used: ${check.reason}`);
  }
}
