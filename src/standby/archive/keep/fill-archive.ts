import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isPossibleSegment, segmentNumber } from '../../../postgres/lsn.ts';
import type { SegmentName } from '../../../postgres/wal-name.ts';
import { copyDurably, exists, linkDurably, systemErrorCode } from '../../../system/durable.ts';
import { removeFile } from '../../../system/files.ts';
import { isProcessAlive } from '../../../system/processes.ts';
import type { StandbyDeps } from '../../deps.ts';
import { type DataDirectory, readDataDirectory } from '../../server/data-directory.ts';
import type { Server } from '../../server/server.ts';
import { readSegmentStart } from '../arrival.ts';
import { listWal } from '../contents.ts';
import { requireArchive } from '../own-archive.ts';
import { isSegmentIn, numberOf, type OwnWal, readOwnWal, segmentOnPath } from './archived-chain.ts';

/** -P takes no lock: two runs may copy at once, and neither may take the other's file for its own. */
function temporaryIn(archivedir: string): string {
  return join(archivedir, `.from-pg_wal.${process.pid}.${randomBytes(4).toString('hex')}.tmp`);
}

/** Earlier releases used one name, without the process. */
const temporaryName = /^\.from-pg_wal\.(?:(\d+)\.[0-9a-f]+\.)?tmp$/;

/** Removes what killed runs have left. */
async function removeLeftovers(archivedir: string): Promise<void> {
  for (const name of await readdir(archivedir)) {
    const found = temporaryName.exec(name);
    if (found === null || (found[1] !== undefined && isProcessAlive(Number(found[1])))) continue;
    await removeFile(join(archivedir, name));
  }
}

export interface Filled {
  readonly copied: readonly SegmentName[];
  /** Neither archivedir nor pg_wal holds them. */
  readonly missing: readonly SegmentName[];
  /** The time limit was over before these. */
  readonly left: readonly SegmentName[];
}

/** The inode of a file; undefined if there is none. */
async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Copies one segment from pg_wal, whole and flushed, under its name; a file of that name stays. The server may rename
 * the segment for later use and write into it at any moment, so the name must still mean the same file afterwards.
 */
async function copySegment(
  wal: OwnWal,
  walDirectory: string,
  name: SegmentName,
  temporary: string,
): Promise<boolean> {
  const source = join(walDirectory, name.text);
  if (!(await isSegmentIn(walDirectory, name, wal))) return false;
  const before = await inodeOf(source);
  try {
    await copyDurably(source, temporary);
    const isSame = before !== undefined && (await inodeOf(source)) === before;
    if (!isSame || (await readSegmentStart(temporary))?.size !== wal.layout.segmentSize) return false;
    await linkDurably(temporary, join(wal.archivedir, name.text));
    return true;
  } finally {
    await removeFile(temporary);
  }
}

/** The segments of earlier timelines from `from` on: those are whole. The present timeline's belong to its archiver. */
function earlierSegments(wal: OwnWal, from: bigint): readonly SegmentName[] {
  const { layout, path } = wal;
  const end = path.at(-1)?.firstNumber ?? 0;
  const names: SegmentName[] = [];
  for (let number = numberOf(from, layout); number < end; number++) names.push(segmentOnPath(wal, number));
  return names;
}

/** Where WAL is copied from and to, and until when. */
interface Filling {
  readonly deps: Pick<StandbyDeps, 'signal' | 'monotonicMs'>;
  readonly wal: OwnWal;
  readonly walDirectory: string;
  readonly limitMs: number;
}

/** Copies these segments, oldest first, unless archivedir holds them. */
export async function copySegments(
  names: readonly SegmentName[],
  { deps, wal, walDirectory, limitMs }: Filling,
): Promise<Filled> {
  const endMs = deps.monotonicMs() + limitMs;
  const copied: SegmentName[] = [];
  const missing: SegmentName[] = [];
  await removeLeftovers(wal.archivedir);
  const temporary = temporaryIn(wal.archivedir);
  for (const [index, name] of names.entries()) {
    deps.signal.throwIfAborted();
    if (await exists(join(wal.archivedir, name.text))) continue;
    if (deps.monotonicMs() >= endMs) return { copied, missing, left: names.slice(index) };
    if (await copySegment(wal, walDirectory, name, temporary)) copied.push(name);
    // Another run may have brought it meanwhile, and the server may have removed it since.
    else if (!(await exists(join(wal.archivedir, name.text)))) missing.push(name);
  }
  return { copied, missing, left: [] };
}

/**
 * After a promotion: copies what only streaming had brought from pg_wal to archivedir, so that the archive leads from
 * its base backup to the new timeline. No primary delivers there any more, which could send another file of that name.
 *
 * @param from no recovery here needs WAL before this location, and no slot holds any
 * @param limitMs milliseconds after which no other segment is begun
 */
export async function fillArchive(server: Server, from: bigint, limitMs: number): Promise<Filled> {
  const { deps, pgdata, capabilities } = server;
  const { archivedir } = deps.settings;
  const directory = await readDataDirectory(pgdata);
  await requireArchive(archivedir, directory);
  const segmentSize = directory.control?.walSegmentSize ?? directory.record.backup?.segmentSize;
  const wal = segmentSize === undefined ? undefined : await readOwnWal(archivedir, directory, segmentSize);
  if (wal === undefined) return { copied: [], missing: [], left: [] };
  const walDirectory = join(pgdata, capabilities.walDirName);
  return copySegments(earlierSegments(wal, from), { deps, wal, walDirectory, limitMs });
}

/**
 * Right before a promotion: copies to archivedir what only streaming has brought, because the checkpoint of the promotion
 * removes it from pg_wal, and other standbys may lack it. `end`: WAL up to there is whole.
 */
export async function archiveStreamed(
  deps: StandbyDeps,
  directory: DataDirectory,
  end: bigint,
  limitMs: number,
): Promise<Filled> {
  const { archivedir } = deps.settings;
  const segmentSize = directory.control?.walSegmentSize;
  const wal = segmentSize === undefined ? undefined : await readOwnWal(archivedir, directory, segmentSize);
  if (wal === undefined) return { copied: [], missing: [], left: [] };
  const { layout } = wal;
  const walDirectory = join(directory.pgdata, directory.capabilities.walDirName);
  const names = (await listWal(walDirectory))
    .filter((name) => name.kind === 'segment')
    .filter((name) => isPossibleSegment(name, layout))
    // A number that is further on belongs to a file that is only reserved.
    .filter((name) => segmentNumber(name, layout) < numberOf(end, layout))
    .filter((name) => segmentOnPath(wal, segmentNumber(name, layout)).text === name.text)
    .sort((a, b) => segmentNumber(a, layout) - segmentNumber(b, layout));
  return copySegments(names, { deps, wal, walDirectory, limitMs });
}
