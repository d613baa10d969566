import { join } from 'node:path';
import { readIfExists, removeDurably, writeDurably } from '../../../../system/durable.ts';
import { backupNoteName } from '../../../primary/backup-in-progress.ts';

export async function noteBackup(directory: string, label: string): Promise<void> {
  await writeDurably(join(directory, backupNoteName), `${label}\n`);
}

export async function readNotedBackup(directory: string): Promise<string | undefined> {
  return (await readIfExists(join(directory, backupNoteName)))?.toString('utf8').trimEnd();
}

export async function forgetBackup(directory: string): Promise<void> {
  await removeDurably(join(directory, backupNoteName));
}
