import { open, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { messageOf, PitrError, refusal } from '../../errors.ts';
import { ancestorsIn, parseHistory } from '../../postgres/history.ts';
import { checkSegmentHeader, longHeaderBytes } from '../../postgres/wal-header.ts';
import {
  historyName,
  parseWalName,
  type SegmentName,
  timelineOf,
  type WalName,
} from '../../postgres/wal-name.ts';
import { exists, readIfExists, systemErrorCode } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from './cluster.ts';

/** The properties that must not change while a file is read: otherwise it was recycled meanwhile. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

/** A file as it was at the moment when it was looked at. */
export interface SeenFile {
  readonly path: string;
  readonly identity: FileIdentity;
}

/** One file to ship. */
export interface WalFile extends SeenFile {
  readonly name: WalName;
}

export async function identityOf(path: string): Promise<FileIdentity> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return { device: dev, inode: ino, size, mtimeNs };
}

export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.device === b.device && a.inode === b.inode;
}

export function isUnchanged(a: FileIdentity, b: FileIdentity): boolean {
  return isSameFile(a, b) && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

/** Whether it is still the same file, unchanged. */
export async function isStill({ path, identity }: SeenFile): Promise<boolean> {
  const now = await identityOf(path).catch(() => undefined);
  return now !== undefined && isUnchanged(now, identity);
}

async function identityIfExists(path: string): Promise<FileIdentity | undefined> {
  try {
    return await identityOf(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw new PitrError(`cannot look at "${path}"`, { detail: messageOf(error), cause: error });
  }
}

export async function walFileAt(path: string, name: WalName): Promise<WalFile> {
  const identity = await identityIfExists(path);
  if (identity === undefined) throw new PitrError(`there is no file "${path}"`);
  return { name, path, identity };
}

export const readySuffix = '.ready';

/** The directory beside WAL files in which PostgreSQL notes which of them are to be archived. */
export function statusOf(directory: string): string {
  return join(directory, 'archive_status');
}

/** Whether PostgreSQL has marked a file of this directory as ready to be archived. */
export function isReady(directory: string, name: string): Promise<boolean> {
  return exists(join(statusOf(directory), `${name}${readySuffix}`));
}

function requireWalName(path: string): WalName {
  const name = parseWalName(basename(path));
  if (name.kind !== 'not-wal') return name;
  throw refusal(`"${path}" is not a WAL file: ${name.reason}`, {
    hint: 'In postgresql.conf: archive_command = \'cmd_archiver -C FILE -F "%p"\'',
  });
}

/**
 * Finds the file that PostgreSQL means by %p. PostgreSQL's working directory is its data directory, so a relative path
 * must lead there to the very file in the INI file's pgdata. Otherwise another cluster is calling with this cluster's
 * INI file. (If an operator calls -F from another directory, the path is relative to pgdata.)
 */
export async function locateWalFile(deps: ArchiverDeps, path: string): Promise<WalFile> {
  const name = requireWalName(path);
  if (isAbsolute(path)) return walFileAt(path, name);
  const { pgdata } = deps.settings;
  const called = await identityIfExists(resolve(deps.workingDirectory, path));
  const expected = await identityIfExists(join(pgdata, path));
  if (called !== undefined && (expected === undefined || !isSameFile(called, expected))) {
    throw refusal(
      `"${path}" in ${deps.workingDirectory} is not the file of that name in pgdata "${pgdata}"`,
      {
        hint: 'The INI file belongs to another cluster: each needs its own, with its own pgdata and l_archivedir.',
      },
    );
  }
  return walFileAt(join(pgdata, path), name);
}

async function readStart(path: string): Promise<Uint8Array> {
  try {
    return await readFirstBytes(path);
  } catch (error) {
    throw new PitrError(`cannot read "${path}"`, { detail: messageOf(error), cause: error });
  }
}

async function readFirstBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const buffer = new Uint8Array(longHeaderBytes);
    const { bytesRead } = await handle.read(buffer, 0, longHeaderBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The timelines that this one branched off, by its history file in one of the directories. */
async function ancestorsOf(timeline: number, directories: readonly string[]): Promise<ReadonlySet<number>> {
  const { text: name } = historyName(timeline);
  for (const directory of directories) {
    const content = await readIfExists(join(directory, name));
    if (content !== undefined) return ancestorsIn(parseHistory(content.toString('utf8'), name));
  }
  return new Set();
}

async function checkSegment(file: WalFile, segment: SegmentName, cluster: Cluster, pgdata: string) {
  const bytes = await readStart(file.path);
  // PostgreSQL never removes a history file from its WAL directory, which is pg_xlog up to 9.6.
  const places = [dirname(file.path), join(pgdata, 'pg_wal'), join(pgdata, 'pg_xlog')];
  const ancestors = await ancestorsOf(timelineOf(file.name), places);
  const check = checkSegmentHeader(bytes, {
    name: segment,
    systemIdentifier: cluster.systemIdentifier,
    fileSize: Number(file.identity.size),
    isAncestor: (timeline) => ancestors.has(timeline),
  });
  if (check.kind === 'good') return;
  throw refusal(`WAL file "${file.path}" is refused: ${check.reason}`, {
    hint:
      check.problem === 'foreign'
        ? 'Another cluster archives with this INI file, or the file was put here by hand.'
        : 'Nothing was archived; PostgreSQL keeps the file and tries again.',
  });
}

/** Proves that the file is what its name says and of this cluster; throws a refusal otherwise. */
export async function checkWalFile(file: WalFile, cluster: Cluster, pgdata: string): Promise<void> {
  switch (file.name.kind) {
    case 'segment':
      return checkSegment(file, file.name, cluster, pgdata);
    case 'partial':
      return checkSegment(file, file.name.segment, cluster, pgdata);
    case 'history':
    case 'backup':
      if (file.identity.size > 0n) return;
      throw refusal(`WAL file "${file.path}" is refused: it is empty`);
  }
}
