import { readdir } from 'node:fs/promises';
import { ensureDirectory, exists, requireHardLinks } from '../../system/durable.ts';
import { updateSentinel } from '../../system/sentinel.ts';
import type { Archive } from '../archive/own-archive.ts';
import type { StandbyDeps } from '../deps.ts';
import { hasRecord } from '../host/backup-record/record.ts';
import { ownCommand } from '../host/own-command.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/**
 * The archive of a primary that was never a standby: archivedir does not exist, or is empty. Undefined in any other
 * case: a host that has a record was a standby, and its archive is perhaps not mounted.
 */
export async function archiveToMake(
  deps: StandbyDeps,
  { pgdata, control }: DataDirectory,
): Promise<Archive | undefined> {
  const { archivedir } = deps.settings;
  if (control === undefined || (await hasRecord(pgdata))) return undefined;
  // The lock of this action may be there.
  const names = (await exists(archivedir)) ? await readdir(archivedir) : [];
  if (names.some((name) => !name.startsWith('.cmd_standby.'))) return undefined;
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
