/** The WAL of a former primary that the new one's archive may lack. Pure but for the listing. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { firstLsnOf, segmentEndingAt } from '../../postgres/lsn.ts';
import { parseWalName, type SegmentName, timelineOf, type WalName } from '../../postgres/wal-name.ts';
import type { OfferedFile } from '../../verbs/scripts/offer.ts';
import { listWal, readHistories, readStarts } from '../archive/contents.ts';
import { faultOf } from '../archive/judge.ts';
import { type EndOfWal, layoutOf } from '../follow/end-of-wal.ts';
import { forkOf, isSharedTimeline, type Lineage, type OwnPlace } from '../follow/lineage.ts';
import type { DataDirectory } from '../server/data-directory.ts';

/** A file in pg_wal. */
export type Unsent = OfferedFile;

/** The names that PostgreSQL still wants to archive. */
async function readyNames(walDirectory: string): Promise<readonly WalName[]> {
  const names = await readdir(join(walDirectory, 'archive_status')).catch((): string[] => []);
  return names
    .filter((name) => name.endsWith('.ready'))
    .map((name) => parseWalName(name.slice(0, -'.ready'.length)))
    .filter((name) => name.kind !== 'not-wal')
    .sort((a, b) => (a.text < b.text ? -1 : 1));
}

/** Whether a segment of a timeline that their history has left holds WAL from behind the fork. */
export function isBehindFork(name: SegmentName, there: Lineage, segmentSize: number): boolean {
  const fork = forkOf(name.timeline, there);
  return fork !== undefined && firstLsnOf(name, segmentSize) + BigInt(segmentSize) > fork;
}

/**
 * Up to 9.2 a history names only the segment in which the timeline was left. The segments before that one are theirs as well; what
 * that one holds is not known.
 */
function isBeforeLeft(name: SegmentName, { history }: Lineage): boolean {
  const end = history.find(({ timeline }) => timeline === name.timeline)?.end;
  return end?.kind === 'segment' && name.text < end.segment.text;
}

export function destinationOf(
  name: WalName,
  own: OwnPlace,
  there: Lineage,
  segmentSize: number,
): Unsent['to'] {
  if (!isSharedTimeline(timelineOf(name), own, there)) return 'diverged';
  if (name.kind !== 'segment') return 'archive';
  if (isBeforeLeft(name, there)) return 'archive';
  if (forkOf(name.timeline, there) === undefined) return 'diverged';
  return isBehindFork(name, there, segmentSize) ? 'diverged' : 'archive';
}

/** The segments that hold WAL of their name, by the first pages: a file that waits for reuse has the name of a later one. */
async function writtenSegments({
  pgdata,
  capabilities,
  control,
}: DataDirectory): Promise<readonly SegmentName[]> {
  const { systemIdentifier, walSegmentSize: segmentSize } = control ?? {};
  if (systemIdentifier === undefined || segmentSize === undefined) return [];
  const walDirectory = join(pgdata, capabilities.walDirName);
  const names = await listWal(walDirectory);
  const { histories } = await readHistories(walDirectory, names);
  return (await readStarts(walDirectory, names))
    .filter((start) => faultOf(start, { systemIdentifier, segmentSize, histories }) === undefined)
    .map(({ name }) => name);
}

/** The last segment, which is not full. */
function tailOf(
  directory: DataDirectory,
  end: EndOfWal,
  written: readonly SegmentName[],
): string | undefined {
  // Where records cannot be read up to their end, as right after a promotion, nothing else shows it.
  if (end.kind === 'unknown') return written.at(-1)?.text;
  // Behind a clean end there is the rest of the checkpoint's record.
  const at = end.kind === 'clean' ? end.checkpoint + 1n : end.end;
  return segmentEndingAt(end.timeline, at, layoutOf(directory)).text;
}

export async function observeUnsent(
  directory: DataDirectory,
  end: EndOfWal,
  own: OwnPlace,
  there: Lineage,
  isContained: boolean,
): Promise<readonly Unsent[]> {
  const walDirectory = join(directory.pgdata, directory.capabilities.walDirName);
  const layout = layoutOf(directory);
  const present = new Set(await readdir(walDirectory));
  const ready = (await readyNames(walDirectory)).filter(({ text }) => present.has(text));
  const files = ready.map((name): Unsent => {
    return { name: name.text, to: destinationOf(name, own, there, layout.segmentSize), isTail: false };
  });
  if (isContained) return files.filter(({ to }) => to === 'archive');
  const written = await writtenSegments(directory);
  const tail = tailOf(directory, end, written);
  const offered = new Set(files.map(({ name }) => name));
  // It may have been archived into nothing but a queue here, and a machine that died may have lost its `.ready`.
  const others = written
    .filter(({ text }) => !offered.has(text) && text !== tail)
    .map((name) => ({ name, to: destinationOf(name, own, there, layout.segmentSize) }))
    .filter(({ to }) => to === 'diverged')
    .map(({ name, to }): Unsent => ({ name: name.text, to, isTail: false }));
  const isMissing = tail === undefined || !present.has(tail) || offered.has(tail);
  return [...files, ...others, ...(isMissing ? [] : [{ name: tail, to: 'diverged', isTail: true } as const])];
}
