import { opendir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, unreachable } from '../../../../errors.ts';
import { parseBackupLabel } from '../../../../postgres/backup-label.ts';
import { checkControlFile } from '../../../../postgres/control-file.ts';
import { formatLsn, segmentContaining } from '../../../../postgres/lsn.ts';
import { describeResult, succeeded } from '../../../../system/command.ts';
import { ensureDirectory } from '../../../../system/durable.ts';
import { archiverStatistics } from '../../../primary/archiver-statistics.ts';
import { programVersion } from '../../../../system/program-version.ts';
import { explainRefusal } from '../../../primary/protocol/identify.ts';
import { failure, needed, type BackupContext } from '../context.ts';
import { layoutOf } from '../plan.ts';
import { askClock, clockSql } from '../on-primary/primary-backup.ts';
import { refuseNewReceived } from '../on-primary/tablespaces-meanwhile.ts';
import { receivingDirectory, receivingPlaces } from './places.ts';
import { runPgBasebackup, streamingOf, type Ending, type Received } from './run-pg-basebackup.ts';

/** Also what a run left that was killed. */
export async function removeReceived({ facts }: BackupContext): Promise<void> {
  for (const path of receivingPlaces(facts.place)) await rm(path, { recursive: true, force: true });
}

async function countFiles(directory: string): Promise<number> {
  let count = 0;
  for await (const entry of await opendir(directory))
    count += entry.isDirectory() ? await countFiles(join(directory, entry.name)) : 1;
  return count;
}

/** pg_basebackup itself counts bytes only. */
async function countReceived({ facts }: BackupContext): Promise<number> {
  let count = 0;
  for (const place of receivingPlaces(facts.place)) count += await countFiles(place);
  return count;
}

/** Notes what is known of the backup before it begins; the label that comes with the data tells the rest. */
export async function noteBeginning(context: BackupContext, label: string): Promise<void> {
  const { facts, run } = context;
  const { lsn, timeline } = needed(facts.position, 'the position');
  run.record = {
    status: 'copying',
    label,
    systemIdentifier: facts.primary.systemIdentifier,
    primaryPgdata: facts.primary.dataDirectory,
    timeline,
    segmentSize: facts.primary.settings.walSegmentSize,
    startLsn: formatLsn(lsn),
    startSegment: segmentContaining(timeline, lsn, layoutOf(facts)).name,
    startTime: await askClock(context),
    timeZone: facts.primary.settings.timeZone,
    toolVersion: programVersion(),
  };
}

const shownLines = 5;

async function endingError({ deps, primary }: BackupContext, ending: Ending): Promise<PitrError> {
  const { base_backup_timeout, wal_timeout } = deps.settings;
  switch (ending) {
    case 'limit':
      return new PitrError(`pg_basebackup did not end within ${base_backup_timeout} s`, {
        hint: 'base_backup_timeout: says how long it may take.',
      });
    case 'unarchived':
      return new PitrError(`the primary has not archived the WAL of the backup within ${wal_timeout} s`, {
        detail: await archiverStatistics(primary),
        hint: 'What archive_command says stands in the server log of the primary. When it succeeds, run -B again; wal_timeout: says how long to wait.',
      });
    default:
      return unreachable(ending);
  }
}

async function receiveError(context: BackupContext, { result, ending, said }: Received): Promise<PitrError> {
  if (ending !== undefined) return endingError(context, ending);
  const stderr = said.slice(-shownLines).join('\n');
  const told = { ...result, stderr };
  const { access } = streamingOf(context);
  if (/FATAL/.test(stderr)) return explainRefusal(access, told);
  return new PitrError('pg_basebackup failed', {
    detail: describeResult(told),
    hint: 'Nothing of what is in pgdata was changed by it. Put right what it names, then run -B again.',
  });
}

async function readReceived(directory: string, path: string): Promise<Buffer> {
  return readFile(join(directory, path)).catch((error: unknown) => {
    throw new PitrError(`pg_basebackup left no ${path} in "${directory}"`, { cause: error });
  });
}

/** Takes what recovery starts from out of what was received: pg_control, which goes to its place last, and backup_label. */
async function keepStart(context: BackupContext): Promise<void> {
  const { facts, run } = context;
  const directory = receivingDirectory(facts.place);
  const control = await readReceived(directory, 'global/pg_control');
  const check = checkControlFile(control);
  if (check.kind === 'bad')
    throw new PitrError(`"${directory}/global/pg_control" cannot be used: ${check.reason}`);
  const labelFile = (await readReceived(directory, 'backup_label')).toString('utf8');
  const label = parseBackupLabel(labelFile, 'backup_label');
  run.control = control;
  run.label = label;
  run.record = {
    ...needed(run.record, 'the record'),
    startLsn: formatLsn(label.startLsn),
    startSegment: label.startSegment.name,
    timeline: label.startSegment.timeline,
  };
}

/** Lets pg_basebackup write the whole cluster beside what is here; nothing that is here changes. */
export async function receiveBackup(context: BackupContext, label: string): Promise<void> {
  const { deps, facts, run, primary } = context;
  await ensureDirectory(facts.place.pgdata);
  await removeReceived(context);
  context.onEvent({ kind: 'phase', phase: 'checkpoint' });
  const beganMs = deps.monotonicMs();
  const received = await runPgBasebackup(context, label);
  deps.signal.throwIfAborted();
  if (!succeeded(received.result)) throw failure(deps, await receiveError(context, received));
  await keepStart(context);
  await refuseNewReceived(context);
  const { bytes } = received;
  const seconds = (fromMs: number) => Math.round((deps.monotonicMs() - fromMs) / 100) / 10;
  run.record = {
    ...needed(run.record, 'the record'),
    // The session that is held open may have been forgotten by a firewall meanwhile.
    stopTime: (await primary.queryAside(clockSql))[0]?.[0] ?? '',
    copy: {
      files: await countReceived(context),
      bytes,
      movedBytes: bytes,
      reusedBytes: 0,
      receivedBytes: bytes,
      threads: 1,
      method: 'pg_basebackup',
      copySeconds: seconds(beganMs),
      seconds: seconds(run.beganMs),
    },
  };
}
