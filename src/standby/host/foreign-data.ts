import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../system/durable.ts';
import { findForeignSegment } from '../archive/arrival.ts';
import type { PrimaryFacts } from '../primary/primary.ts';
import type { Objection } from '../steps/objections.ts';
import { readRecord, type StandbyRecord } from './backup-record/record.ts';
import type { PgdataContent } from './pgdata-content.ts';
import type { LocalPlace } from './place.ts';
import { isServersName, outsidePgdata, type TablespaceTarget } from './tablespaces.ts';
import type { WalLink } from './wal-link.ts';

/** For a directory that does not exist or cannot be read: the check of the directory itself has reported the latter. */
function ifUnseen<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemErrorCode(error) ?? '')) return value;
    throw error;
  };
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(ifUnseen<string[]>([]));
}

/** Including an entry that is no directory or cannot be read. */
async function holdsAnything(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => undefined);
  return names === undefined || names.length > 0;
}

async function realPathOf(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}

/**
 * Directories of tablespaces that are this standby's: pgdata links to them, or an unfinished copy of this cluster, perhaps
 * still without its links, has noted them before it filled them.
 */
async function ownDirectories(pgdata: string, systemIdentifier: string): Promise<ReadonlySet<string>> {
  const { backup } = await readRecord(pgdata).catch((): StandbyRecord => ({}));
  const isUnfinished = backup?.status === 'copying' && backup.systemIdentifier === systemIdentifier;
  const noted = isUnfinished ? (backup.tablespaces ?? []) : [];
  const links = (await namesIn(join(pgdata, 'pg_tblspc'))).map((name) => join(pgdata, 'pg_tblspc', name));
  const found = await Promise.all([...noted, ...links].map(realPathOf));
  return new Set(found.filter((path) => path !== undefined));
}

async function foreignFolders(
  pgdata: string,
  targets: readonly TablespaceTarget[],
  { capabilities, control, systemIdentifier }: PrimaryFacts,
): Promise<readonly string[]> {
  const own = await ownDirectories(pgdata, systemIdentifier);
  const found: string[] = [];
  for (const { target } of outsidePgdata(targets)) {
    if (own.has((await realPathOf(target)) ?? '')) continue;
    const names = (await namesIn(target)).filter((name) => isServersName(capabilities, control, name));
    for (const path of names.map((name) => join(target, name)))
      if (await holdsAnything(path)) found.push(path);
  }
  return found;
}

/** WAL of neither the primary nor the cluster in pgdata; these two have checks of their own. */
async function foreignWal(
  { directory }: WalLink,
  content: PgdataContent,
  { systemIdentifier }: PrimaryFacts,
): Promise<string | undefined> {
  if (directory === undefined) return undefined;
  const known = content.kind === 'cluster' ? [content.systemIdentifier] : [];
  const name = await findForeignSegment(directory, [systemIdentifier, ...known]).catch(ifUnseen(undefined));
  return name === undefined ? undefined : join(directory, name);
}

/** Data outside pgdata that a base backup would remove though it may be another cluster's. */
export async function findForeignData(
  { pgdata, content, targets, walLink }: Pick<LocalPlace, 'pgdata' | 'content' | 'targets' | 'walLink'>,
  facts: PrimaryFacts,
): Promise<readonly Objection[]> {
  const folders = (await foreignFolders(pgdata, targets, facts)).map((path): Objection => ({
    name: 'foreign-data',
    message: `"${path}" is not empty, and nothing in "${pgdata}" shows that it is this standby's`,
    hint: 'It may be the tablespace of another cluster: give this one another path by [tablespaces] in the INI file.',
    cost: '-B replaces it, and all that is in it is lost',
  }));
  const segment = walLink === undefined ? undefined : await foreignWal(walLink, content, facts);
  if (segment === undefined || walLink === undefined) return folders;
  return [
    ...folders,
    {
      name: 'foreign-data',
      message: `"${walLink.path}" is a link to WAL of another cluster: "${segment}"`,
      hint: 'Let the link lead to a directory of its own.',
      cost: '-B removes that WAL',
    },
  ];
}
