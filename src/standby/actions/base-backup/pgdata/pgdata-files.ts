import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../../../errors.ts';
import {
  ensureDirectory,
  exists,
  fsyncPath,
  readIfExists,
  removeDurably,
} from '../../../../system/durable.ts';
import { removeTree, rename, symlink, unlink } from '../../../../system/files.ts';
import { type BackupRecord, recordFileName } from '../../../backup-record/record.ts';
import type { LocalPlace } from '../../../host/place.ts';
import { filledDirectories, outsidePgdata, rewriteTablespaceMap } from '../../../host/tablespaces.ts';
import { isEmptied, readWalLink, type WalLink } from '../../../host/wal-link.ts';
import { incompleteControlFile } from '../../../server/data-directory.ts';
import { makeForServer, openToGroup, writeForServer } from '../../../server/server-modes.ts';
import type { BackupContext } from '../context.ts';
import type { BackupFacts } from '../facts.ts';
import type { StoppedOnPrimary } from '../on-primary/primary-backup.ts';
import { refuseServerStartedMeanwhile } from './started-meanwhile.ts';

/** The state of pgdata before this run made it unstartable, to be restored while no byte of it has changed. */
export interface Before {
  readonly record: Buffer | undefined;
  readonly hadControl: boolean;
}

function controlPaths(pgdata: string) {
  const global = join(pgdata, 'global');
  return { global, control: join(global, 'pg_control'), incomplete: join(global, incompleteControlFile) };
}

async function writeRecord(pgdata: string, backup: BackupRecord): Promise<void> {
  await writeForServer(pgdata, join(pgdata, recordFileName), `${JSON.stringify({ backup }, null, 2)}\n`);
}

export async function readBefore(pgdata: string): Promise<Before> {
  return {
    record: await readIfExists(join(pgdata, recordFileName)),
    hadControl: await exists(controlPaths(pgdata).control),
  };
}

function isUnfinished({ record, hadControl }: Before): boolean {
  return !hadControl && record !== undefined && /"status": *"copying"/.test(record.toString('utf8'));
}

/**
 * Takes pg_control away and notes that a copy is under way, each on disk before the next step: from here on no
 * server can be started on this directory by anybody.
 */
export async function markCopying(facts: BackupFacts, record: BackupRecord, before: Before): Promise<void> {
  const { pgdata, targets, ownConfiguration } = facts.place;
  const tablespaces = outsidePgdata(targets).map(({ target }) => target);
  // Without its pg_control a running server would not live for long.
  await refuseServerStartedMeanwhile(facts);
  await ensureDirectory(pgdata);
  try {
    await writeRecord(pgdata, { ...record, tablespaces, ownConfiguration });
  } catch (error) {
    // A copy that filled the disk left no room for this, but its own record, which says the same; room is made next.
    if (!isUnfinished(before)) throw error;
  }
  if (!before.hadControl) return;
  const { global, control, incomplete } = controlPaths(pgdata);
  await rename(control, incomplete);
  await fsyncPath(global);
  // One that came up before the rename is seen now, and none can come up any more.
  await refuseServerStartedMeanwhile(facts);
}

/** Only while nothing was copied: what is there is still what was there. */
export async function unmarkCopying(pgdata: string, before: Before): Promise<void> {
  const { global, control, incomplete } = controlPaths(pgdata);
  if (before.hadControl && !(await exists(control))) {
    await rename(incomplete, control);
    await fsyncPath(global);
  }
  const record = join(pgdata, recordFileName);
  if (before.record === undefined) await removeDurably(record);
  else await writeForServer(pgdata, record, before.record);
}

/** Nothing has checked where a link leads that was made, or changed, while the copy was made. */
async function requireSameLink({ place, primary }: BackupFacts): Promise<WalLink | undefined> {
  const link = await readWalLink(place.pgdata, primary.capabilities.walDirName);
  if (link === undefined || (link.directory !== undefined && link.directory === place.walLink?.directory))
    return link;
  throw new PitrError(`"${link.path}" leads elsewhere than when this run began`, {
    detail: link.problem ?? `It is a link to "${link.text}" now.`,
    hint: 'Put the link right, then run -B again.',
  });
}

/** The WAL of the server that was here before: recovery reads that of the backup from the archive. */
export async function emptyWal({ deps, facts }: BackupContext): Promise<void> {
  const { pgdata } = facts.place;
  const wal = join(pgdata, facts.primary.capabilities.walDirName);
  deps.log.debug(`cleaning up ${wal}/ directory`);
  const link = await requireSameLink(facts);
  if (link === undefined) await makeForServer(pgdata, wal);
  // A WAL directory in pgdata itself holds the server's files alone, but for those of a file system.
  const isGone = link === undefined ? (name: string) => name !== 'lost+found' : isEmptied;
  for (const name of (await readdir(wal)).filter(isGone)) await removeTree(join(wal, name));
  await makeForServer(pgdata, join(wal, 'archive_status'));
}

/** Makes the links of `pg_tblspc` and removes those that no tablespace of this backup has. */
export async function linkTablespaces({
  pgdata,
  targets,
}: Pick<LocalPlace, 'pgdata' | 'targets'>): Promise<void> {
  const directory = join(pgdata, 'pg_tblspc');
  await makeForServer(pgdata, directory);
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if ((await lstat(path)).isSymbolicLink()) await unlink(path);
  }
  for (const { oid, target, isInsidePgdata } of targets) {
    if (!isInsidePgdata) await openToGroup(pgdata, target);
    await symlink(target, join(directory, oid));
  }
  await fsyncPath(directory);
}

/** `backup_label`, without which a server would take the copy for a crashed cluster, and `tablespace_map`. */
export async function writeLabelFiles(
  { pgdata, targets }: Pick<LocalPlace, 'pgdata' | 'targets'>,
  { labelFile, tablespaceMap }: StoppedOnPrimary,
): Promise<void> {
  await writeForServer(pgdata, join(pgdata, 'backup_label'), labelFile);
  if (tablespaceMap === undefined) return;
  await writeForServer(pgdata, join(pgdata, 'tablespace_map'), rewriteTablespaceMap(tablespaceMap, targets));
}

/**
 * Gives pg_control its name: all else is on disk, backup_label included, so that from this rename on a server can
 * start, and not before. The record follows: a crash in between only asks for another -B.
 */
export async function putControlInPlace(
  pgdata: string,
  content: Buffer,
  record: BackupRecord,
): Promise<void> {
  const { global, control, incomplete } = controlPaths(pgdata);
  await writeForServer(pgdata, control, content);
  await fsyncPath(global);
  await writeRecord(pgdata, record);
  await removeDurably(incomplete);
}

/** Where the files of the copy lie, for flushing: a directory of the WAL may be a link to another file system. */
export async function copiedRoots({ facts }: BackupContext): Promise<readonly string[]> {
  const wal = join(facts.place.pgdata, facts.primary.capabilities.walDirName);
  const walTarget = await readlink(wal).catch(() => undefined);
  return [...filledDirectories(facts.place), ...(walTarget === undefined ? [] : [wal])];
}
