import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { walNamesAmong } from '../../postgres/wal-name.ts';
import { ensureDirectory, exists, readIfExists, requireHardLinks } from '../../system/durable.ts';
import { sentinelName, updateSentinel } from '../../system/sentinel.ts';
import type { Archive } from '../archive/own-archive.ts';
import type { StandbyDeps } from '../deps.ts';
import { hasRecord } from '../host/backup-record/record.ts';
import { ownCommand } from '../host/own-command.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/**
 * Whether the directory is l_archivedir of this cluster, and nothing more yet. Its identifier, which cmd_archiver -I left,
 * proves that it is mounted. In the how-to both have the same path.
 */
export async function isOwnQueueDirectory(
  directory: string,
  names: readonly string[],
  systemIdentifier: string,
): Promise<boolean> {
  if (names.includes(sentinelName) || walNamesAmong(names).length > 0) return false;
  const pinned = await readIfExists(join(directory, '.archiver', 'system_identifier'));
  return pinned?.toString('utf8').trim() === systemIdentifier;
}

/**
 * The archive of a primary that was never a standby: archivedir does not exist, is empty, or has served as l_archivedir
 * only. Undefined in any other case: a host that has a record was a standby, and its archive is perhaps not mounted.
 */
export async function archiveToMake(
  deps: StandbyDeps,
  { pgdata, control }: DataDirectory,
): Promise<Archive | undefined> {
  const { archivedir } = deps.settings;
  if (control === undefined || (await hasRecord(pgdata))) return undefined;
  // The lock of this action may be there.
  const names = (await exists(archivedir)) ? await readdir(archivedir) : [];
  const isEmpty = names.every((name) => name.startsWith('.cmd_standby.'));
  if (!isEmpty && !(await isOwnQueueDirectory(archivedir, names, control.systemIdentifier))) return undefined;
  const sentinel = {
    systemIdentifier: control.systemIdentifier,
    standby: deps.hostName,
    primaryPgdata: undefined,
    promotedAtTimeline: undefined,
    command: ownCommand(deps),
    left: [],
  };
  return { directory: archivedir, sentinel, files: [] };
}

export async function makeArchive(deps: StandbyDeps, { directory, sentinel }: Archive): Promise<void> {
  await ensureDirectory(directory);
  await requireHardLinks(directory, 'pitrtools-rejoin');
  await updateSentinel(deps.run, directory, (now) => now ?? sentinel);
}
