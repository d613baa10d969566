import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../../../errors.ts';
import { type SegmentName, type WalName, walNamesAmong } from '../../../../postgres/wal-name.ts';
import { fsyncPath } from '../../../../system/durable.ts';
import { moveIfThere, rmdir } from '../../../../system/files.ts';
import { makeAsideDirectory } from '../../../archive/aside-directory.ts';
import { readHistory } from '../../../archive/contents.ts';
import { olderInHistory, supersededPrefix } from '../../../archive/older.ts';
import { putFileBack } from '../../../archive/put-back.ts';
import type { BackupContext } from '../context.ts';
import { layoutOf } from '../facts.ts';

export interface Moved {
  readonly directory: string;
  readonly moved: readonly WalName[];
}

/**
 * Moves files to a place where neither the server nor the archiver looks, without removing them. A file that another
 * process has removed meanwhile, such as --cleanup, needs no place.
 */
async function moveInto(
  { deps, facts }: BackupContext,
  prefix: string,
  names: readonly WalName[],
): Promise<Moved> {
  const { archivedir } = facts.place;
  const directory = await makeAsideDirectory(deps, archivedir, prefix);
  const moved: WalName[] = [];
  try {
    for (const name of names)
      if (await moveIfThere(join(archivedir, name.text), join(directory, name.text))) moved.push(name);
    await fsyncPath(directory);
    await fsyncPath(archivedir);
  } catch (error) {
    await putBack(archivedir, { directory, moved }).catch((second: unknown) => {
      deps.log.error(`could not put back what was moved to "${directory}": ${messageOf(second)}`);
    });
    throw error;
  }
  return { directory, moved };
}

/** If this fails, all files are where they were. */
export async function setAside(context: BackupContext, names: readonly WalName[]): Promise<Moved> {
  const { directory, moved } = await moveInto(context, '.aside-', names);
  context.deps.log.notice(`moved ${moved.length} WAL files of another history to ${directory}`);
  return { directory, moved };
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
    const { directory, moved } = await moveInto(context, supersededPrefix, older);
    deps.log.notice(
      `moved ${moved.length} WAL files that are older than this backup to ${directory}; --cleanup removes them`,
    );
  } catch (error) {
    deps.log.warning(
      `the base backup is good, but the WAL before it could not be moved away: ${messageOf(error)}`,
    );
  }
}

/** Undoes `moveInto`. What a delivery has brought meanwhile is never replaced. */
export async function putBack(archivedir: string, { directory, moved }: Moved): Promise<void> {
  const kept: string[] = [];
  for (const { text: name } of moved)
    if ((await putFileBack(join(directory, name), archivedir, name)) === 'kept') kept.push(name);
  await fsyncPath(archivedir);
  const [first] = kept;
  if (first !== undefined)
    throw new PitrError(
      `${kept.length} WAL files stay in "${directory}": a delivery has brought other bytes under their names, beginning with ${first}`,
    );
  await rmdir(directory);
}
