import { join } from 'node:path';
import { largestOf, smallestOf } from '../../../lists.ts';
import { ancestorsIn } from '../../../postgres/history.ts';
import {
  firstLsnOf,
  nameOf,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../../postgres/lsn.ts';
import { type Histories, pathTo, type TimelinePath } from '../../../postgres/timelines.ts';
import type { SegmentName, WalName } from '../../../postgres/wal-name.ts';
import type { DataDirectory } from '../../server/data-directory.ts';
import { readSegmentStart } from '../arrival.ts';
import { listWal, readHistories } from '../contents.ts';
import { faultOf } from '../judge.ts';

/** The facts about this host's WAL that are needed to see which of it archivedir holds. */
export interface OwnWal {
  readonly archivedir: string;
  readonly systemIdentifier: string;
  readonly layout: WalLayout;
  readonly histories: Histories;
  /** To the timeline that the server is on. */
  readonly path: TimelinePath;
}

/**
 * The timeline that the server is on. pg_control may be behind: a standby that has begun to receive a new timeline has
 * segments of it in pg_wal before the next restartpoint. Pure.
 */
export function presentTimeline(
  known: readonly number[],
  inPgWal: readonly WalName[],
  histories: Histories,
): number {
  const base = largestOf(known);
  const later = inPgWal
    .filter((name) => name.kind === 'segment')
    .map(({ timeline }) => timeline)
    .filter((timeline) => timeline > base && ancestorsIn(histories.get(timeline) ?? []).has(base));
  return largestOf([base, ...later]);
}

/** Reads the history files here; undefined while pg_control cannot be read. */
export async function readOwnWal(
  archivedir: string,
  directory: Pick<DataDirectory, 'pgdata' | 'capabilities' | 'control'>,
  segmentSize: number,
): Promise<OwnWal | undefined> {
  const { pgdata, capabilities, control } = directory;
  if (control === undefined) return undefined;
  const walDirectory = join(pgdata, capabilities.walDirName);
  const inPgWal = await listWal(walDirectory);
  const local = await readHistories(walDirectory, inPgWal);
  const archived = await readHistories(archivedir, await listWal(archivedir));
  const histories = new Map([...archived.histories, ...local.histories]);
  const layout = { segmentSize, walSegmentSkipsFF: capabilities.walSegmentSkipsFF };
  const known = [control.timeline, control.progress?.minRecoveryTimeline ?? 0];
  const timeline = presentTimeline(known, inPgWal, histories);
  const { systemIdentifier } = control;
  return { archivedir, systemIdentifier, layout, histories, path: pathTo(timeline, histories, layout) };
}

/**
 * The segment of this number on the way to the present timeline. At a fork it is the new timeline's, which contains
 * the old one's WAL up to the fork; the old one's may contain what another primary wrote beyond it.
 */
export function segmentOnPath({ path, layout }: Pick<OwnWal, 'path' | 'layout'>, number: number) {
  const part = path.findLast(({ firstNumber, lastNumber }) => number >= firstNumber && number <= lastNumber);
  return nameOf(part?.timeline ?? 1, number, layout);
}

/** Whether a file in that directory is the segment, whole, of this cluster: by its size and its first page. */
export async function isSegmentIn(
  directory: string,
  name: SegmentName,
  { systemIdentifier, layout, histories }: OwnWal,
): Promise<boolean> {
  const start = await readSegmentStart(join(directory, name.text));
  if (start === undefined) return false;
  return (
    faultOf({ name, start }, { systemIdentifier, segmentSize: layout.segmentSize, histories }) === undefined
  );
}

export function numberOf(lsn: bigint, layout: WalLayout): number {
  return segmentNumber(segmentContaining(1, lsn, layout), layout);
}

function startOf(number: number, layout: WalLayout): bigint {
  return firstLsnOf(nameOf(1, number, layout), layout.segmentSize);
}

/**
 * The slot keeps what pg_wal holds. The slot of a server that crashed, or of an early minor release that was stopped, is
 * back where it once was, and both pg_wal and archivedir may have lost that WAL since, as they should.
 */
export async function heldFrom(walDirectory: string, from: bigint, layout: WalLayout): Promise<bigint> {
  const numbers = (await listWal(walDirectory))
    .filter((name) => name.kind === 'segment')
    .map((name) => segmentNumber(name, layout));
  const oldest = smallestOf(numbers);
  return numbers.length === 0 || oldest <= numberOf(from, layout) ? from : startOf(oldest, layout);
}

/** The location up to which archivedir holds every segment from `from` on; `from` itself if it lacks the first. */
export async function archivedUpTo(wal: OwnWal, from: bigint): Promise<bigint> {
  const first = numberOf(from, wal.layout);
  let number = first;
  while (await isSegmentIn(wal.archivedir, segmentOnPath(wal, number), wal)) number++;
  return number === first ? from : startOf(number, wal.layout);
}

/** The segments from the one with `from` to the one before `to` that archivedir lacks. */
export async function missingBetween(wal: OwnWal, from: bigint, to: bigint): Promise<readonly SegmentName[]> {
  const missing: SegmentName[] = [];
  for (let number = numberOf(from, wal.layout); number < numberOf(to, wal.layout); number++) {
    const name = segmentOnPath(wal, number);
    if (!(await isSegmentIn(wal.archivedir, name, wal))) missing.push(name);
  }
  return missing;
}
