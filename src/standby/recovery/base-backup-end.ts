import { join } from 'node:path';
import { type BackupLabel, parseBackupLabel } from '../../postgres/backup-label.ts';
import { firstLsnOf, parseLsn } from '../../postgres/lsn.ts';
import { readIfExists } from '../../system/durable.ts';
import type { ArchiveContents } from '../archive/contents.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { microsOf } from './target.ts';

/** Where and when the base backup in pgdata ended. If its end time is unknown, its start time stands in. */
export interface BackupEnd {
  readonly lsn: bigint | undefined;
  /** Microseconds since 1970 in UTC. */
  readonly time: bigint | undefined;
}

/** The end of a base backup that we did not make is recorded only in the archive. */
async function readStop(label: BackupLabel | undefined, contents: ArchiveContents | undefined) {
  if (label === undefined || contents === undefined) return undefined;
  const { startSegment, startLsn } = label;
  const offset = Number(startLsn - firstLsnOf(startSegment, contents.layout.segmentSize));
  const name = contents.backups.find(
    (backup) => backup.segment.text === startSegment.text && backup.offset === offset,
  )?.text;
  const text = name === undefined ? undefined : await readIfExists(join(contents.directory, name));
  return text === undefined || name === undefined
    ? undefined
    : parseBackupLabel(text.toString('utf8'), name).stop;
}

export async function backupEnd(
  { record, backupLabel }: Pick<DataDirectory, 'record' | 'backupLabel'>,
  contents: ArchiveContents | undefined,
): Promise<BackupEnd> {
  const { backup } = record;
  const stop = await readStop(backupLabel, contents);
  return {
    lsn: backup?.stopLsn === undefined ? stop?.lsn : parseLsn(backup.stopLsn),
    time:
      microsOf(backup?.stopTime) ??
      microsOf(stop?.time) ??
      microsOf(backup?.startTime) ??
      microsOf(backupLabel?.startTime),
  };
}
