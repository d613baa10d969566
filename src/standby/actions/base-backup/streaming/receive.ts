import { opendir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, unreachable } from '../../../../errors.ts';
import { parseBackupLabel } from '../../../../postgres/backup-label.ts';
import { checkControlFile } from '../../../../postgres/control-file.ts';
import { describeResult, succeeded } from '../../../../system/command.ts';
import { ensureDirectory } from '../../../../system/durable.ts';
import { removeTree } from '../../../../system/files.ts';
import type { BackupRecord } from '../../../host/backup-record/record.ts';
import type { CopyPlace } from '../../../host/tablespaces.ts';
import { unarchived } from '../../../primary/archiver-statistics.ts';
import { explainRefusal } from '../../../primary/protocol/identify.ts';
import { type BackupContext, failure, needed } from '../context.ts';
import { localPath } from '../copy/planned-files.ts';
import { askClock } from '../on-primary/primary-backup.ts';
import { refuseNewReceived } from '../on-primary/tablespaces-meanwhile.ts';
import { type ReceivedBackup, recordOfStart, secondsBetween, startIn } from '../results.ts';
import { type Ending, type Received, runPgBasebackup, streamingOf } from './pg-basebackup.ts';
import { receivingDirectory, receivingPlaces } from './places.ts';

/** Removes the received files, including those of a killed run. */
export async function removeReceived(place: CopyPlace): Promise<void> {
  for (const path of receivingPlaces(place)) await removeTree(path);
}

async function countFiles(root: string, path = ''): Promise<number> {
  let count = 0;
  for await (const entry of await opendir(localPath(root, path), { encoding: 'latin1' }))
    count += entry.isDirectory()
      ? await countFiles(root, path === '' ? entry.name : `${path}/${entry.name}`)
      : 1;
  return count;
}

/** pg_basebackup itself counts only bytes. */
async function countReceived(place: CopyPlace): Promise<number> {
  let count = 0;
  for (const path of receivingPlaces(place)) count += await countFiles(path);
  return count;
}

/** Records the known facts before the backup begins. The label that arrives with the data contains the rest. */
export async function noteBeginning({ facts, primary }: BackupContext): Promise<BackupRecord> {
  const { lsn } = needed(facts.position, 'the position of the primary');
  return recordOfStart(facts, lsn, await askClock(primary.query));
}

const shownLines = 5;

async function endingError({ deps, primary }: BackupContext, ending: Ending): Promise<PitrError> {
  const { base_backup_timeout, wal_timeout } = deps.settings;
  switch (ending) {
    case 'limit':
      return new PitrError(`pg_basebackup did not end within ${base_backup_timeout} s`, {
        hint: 'base_backup_timeout: sets how long it may take.',
      });
    case 'unarchived':
      return unarchived(primary, wal_timeout, 'What pg_basebackup received is removed.');
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
    hint: 'It changed nothing in pgdata. Correct the problem that it reports, then run -B again.',
  });
}

async function readReceived(directory: string, path: string): Promise<Buffer> {
  return readFile(join(directory, path)).catch((error: unknown) => {
    throw new PitrError(`pg_basebackup left no ${path} in "${directory}"`, { cause: error });
  });
}

/**
 * Takes the files from which recovery starts out of the received data: pg_control, which gets to its place last, and
 * backup_label.
 */
async function readStart(directory: string): Promise<Pick<ReceivedBackup, 'control' | 'label'>> {
  const control = await readReceived(directory, 'global/pg_control');
  const check = checkControlFile(control);
  if (check.kind === 'bad')
    throw new PitrError(`"${directory}/global/pg_control" cannot be used: ${check.reason}`);
  const labelFile = (await readReceived(directory, 'backup_label')).toString('utf8');
  return { control, label: parseBackupLabel(labelFile, 'backup_label') };
}

/** Lets pg_basebackup write the whole cluster beside the present copy, which does not change. */
export async function receiveBackup(context: BackupContext, backupBeganMs: number): Promise<ReceivedBackup> {
  const { deps, facts, primary } = context;
  const { place } = facts;
  await ensureDirectory(place.pgdata);
  await removeReceived(place);
  context.onEvent({ kind: 'phase', phase: 'checkpoint' });
  const beganMs = deps.monotonicMs();
  const received = await runPgBasebackup(context);
  deps.signal.throwIfAborted();
  if (!succeeded(received.result)) throw failure(deps, await receiveError(context, received));
  // Nothing came for a tablespace that was dropped before the server began.
  for (const path of receivingPlaces(place)) await ensureDirectory(path);
  const start = await readStart(receivingDirectory(place));
  await refuseNewReceived(context);
  // A firewall may have dropped the idle session meanwhile.
  const stopTime = await askClock(primary.queryAside);
  const { bytes } = received;
  const endedMs = deps.monotonicMs();
  const copy = {
    files: await countReceived(place),
    bytes,
    movedBytes: bytes,
    reusedBytes: 0,
    receivedBytes: bytes,
    threads: 1,
    method: 'pg_basebackup',
    copySeconds: secondsBetween(beganMs, endedMs),
    seconds: secondsBetween(backupBeganMs, endedMs),
  } as const;
  return { ...start, record: { ...startIn(start.label), stopTime, copy } };
}
