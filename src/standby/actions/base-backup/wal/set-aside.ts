import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../../errors.ts';
import { type SegmentName, type WalName, walNamesAmong } from '../../../../postgres/wal-name.ts';
import { fsyncPath } from '../../../../system/durable.ts';
import { rename, rmdir } from '../../../../system/files.ts';
import { makeAsideDirectory } from '../../../archive/aside-directory.ts';
import { readHistory } from '../../../archive/contents.ts';
import { olderInHistory, supersededPrefix } from '../../../archive/older.ts';
import type { BackupContext } from '../context.ts';
import { layoutOf } from '../facts.ts';

/** Moves files to a place where neither the server nor the archiver looks, without removing them. Returns that place. */
async function moveInto(
  { deps, facts }: BackupContext,
  prefix: string,
  names: readonly WalName[],
): Promise<string> {
  const { archivedir } = facts.place;
  const directory = await makeAsideDirectory(deps, archivedir, prefix);
  for (const { text: name } of names) await rename(join(archivedir, name), join(directory, name));
  await fsyncPath(directory);
  await fsyncPath(archivedir);
  return directory;
}

export async function setAside(context: BackupContext, names: readonly WalName[]): Promise<string> {
  const directory = await moveInto(context, '.aside-', names);
  context.deps.log.notice(`moved ${names.length} WAL files of another history to ${directory}`);
  return directory;
}

/**
 * Moves WAL that is older than the backup aside, because the copy in pgdata never reads it. The backup is good already:
 * an error here does not change that.
 */
export async function moveOlder(context: BackupContext, startSegment: SegmentName): Promise<void> {
  const { deps, facts } = context;
  const { archivedir } = facts.place;
  try {
    const files = walNamesAmong(await readdir(archivedir));
    const ancestors = (await readHistory(archivedir, startSegment.timeline)) ?? [];
    const older = olderInHistory(files, startSegment, ancestors, layoutOf(facts));
    if (older.length === 0) return;
    const directory = await moveInto(context, supersededPrefix, older);
    deps.log.notice(
      `moved ${older.length} WAL files that are older than this backup to ${directory}; --cleanup removes them`,
    );
  } catch (error) {
    deps.log.warning(
      `the base backup is good, but the WAL before it could not be moved away: ${messageOf(error)}`,
    );
  }
}

export async function putBack(
  archivedir: string,
  names: readonly WalName[],
  directory: string,
): Promise<void> {
  for (const { text: name } of names) await rename(join(directory, name), join(archivedir, name));
  await rmdir(directory);
  await fsyncPath(archivedir);
}
