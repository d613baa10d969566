import { join } from 'node:path';
import { readIfExists, removeDurably, writeDurably } from '../../../../system/durable.ts';

/**
 * In archivedir: the label of the exclusive backup that -B began (up to 9.5). It distinguishes the backup of a killed
 * run from one that was begun on purpose, by -A start_basebackup or with another INI file on this host.
 */
const noteName = '.cmd_standby.backup';

export async function noteBackup(archivedir: string, label: string): Promise<void> {
  await writeDurably(join(archivedir, noteName), `${label}\n`);
}

export async function readNotedBackup(archivedir: string): Promise<string | undefined> {
  return (await readIfExists(join(archivedir, noteName)))?.toString('utf8').trimEnd();
}

export async function forgetBackup(archivedir: string): Promise<void> {
  await removeDurably(join(archivedir, noteName));
}
