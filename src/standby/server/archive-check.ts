import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  firstLsnOf,
  isPossibleSegment,
  isSegmentSize,
  nameOf,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { checkSegmentHeader } from '../../postgres/wal-header.ts';
import type { SegmentName, WalName } from '../../postgres/wal-name.ts';
import { listWal, readHistories } from '../archive-contents/contents.ts';
import { latestTimeline, pathTo, type Histories, type TimelinePath } from '../archive-contents/timelines.ts';
import { readSegmentStart } from '../wal-arrival.ts';
import type { Archive } from './archive.ts';
import type { DataDirectory } from './data-directory.ts';

export interface ArchivedSegment {
  readonly name: SegmentName;
  /** Bytes; undefined for a file that we may not read. */
  readonly size: number | undefined;
}

/** The last segment that a promotion must have replayed. */
export interface ArchivedEnd {
  readonly last: SegmentName;
  /** In bytes. */
  readonly segmentSize: number;
}

export interface ArchiveCheck {
  /** What would keep a promotion from replaying all that the archive holds. */
  readonly problems: readonly string[];
  /** Undefined where nothing is left to replay, and where there are problems. */
  readonly end: ArchivedEnd | undefined;
}

export interface ReplayFacts {
  readonly segments: readonly ArchivedSegment[];
  /** The segment that is replayed next. */
  readonly from: SegmentName;
  /** The timelines that the server follows. */
  readonly path: TimelinePath;
  /** Good segments that lie in pg_wal, streamed or restored. */
  readonly inPgWal: readonly SegmentName[];
  readonly layout: WalLayout;
}

/** A list this long helps nobody. */
const mostShown = 5;

/** Whether the server, on its way, would take this segment: what an abandoned timeline left behind it does not look at. */
function isOnPath(name: SegmentName, { path, layout }: Pick<ReplayFacts, 'path' | 'layout'>): boolean {
  if (!isPossibleSegment(name, layout)) return false;
  const number = segmentNumber(name, layout);
  return path.some(
    ({ timeline, firstNumber, lastNumber }) =>
      timeline === name.timeline && firstNumber <= number && number <= lastNumber,
  );
}

/** Places in the WAL from `from` to the last archived segment of which there is no segment on any timeline of the path. */
function findGaps(facts: ReplayFacts): string[] {
  const { segments, from, inPgWal, layout, path } = facts;
  const archived = segments.map(({ name }) => segmentNumber(name, layout));
  const local = inPgWal.filter((name) => isOnPath(name, facts)).map((name) => segmentNumber(name, layout));
  const numbers = new Set([...archived, ...local]);
  const last = Math.max(...archived);
  const missing: string[] = [];
  for (let number = segmentNumber(from, layout); number < last && missing.length < mostShown; number++) {
    if (numbers.has(number)) continue;
    const part = path.findLast(({ firstNumber }) => firstNumber <= number);
    const { name } = nameOf(part?.timeline ?? from.timeline, number, layout);
    missing.push(`segment ${name} is missing`);
  }
  return missing;
}

/**
 * What would keep a promotion from replaying all that the archive holds: it takes a segment that cannot be had for the end
 * of the WAL, and leaves the later ones behind.
 */
export function findReplayProblems(facts: ReplayFacts): readonly string[] {
  const { from, layout } = facts;
  const start = segmentNumber(from, layout);
  const segments = facts.segments.filter(
    ({ name }) => isOnPath(name, facts) && segmentNumber(name, layout) >= start,
  );
  if (segments.length === 0) return [];
  const spoilt = segments.flatMap(({ name, size }) => {
    if (size === undefined) return [`segment ${name.name} cannot be read`];
    if (size === layout.segmentSize) return [];
    return [`segment ${name.name} has ${size} bytes instead of ${layout.segmentSize}`];
  });
  return [...findGaps({ ...facts, segments }), ...spoilt.slice(0, mostShown)];
}

/** A timeline that ended between two segments has nothing of its own in the second one. */
function hasItsOwn(name: SegmentName, { path, layout }: ReplayFacts): boolean {
  const end = path.find(({ timeline }) => timeline === name.timeline)?.endLsn;
  return end === undefined || firstLsnOf(name, layout.segmentSize) < end;
}

/** Where no problem was found: the last archived segment on the way. */
export function findArchivedEnd(facts: ReplayFacts): ArchivedEnd | undefined {
  const { segments, from, layout } = facts;
  const place = (name: SegmentName) => segmentNumber(name, layout);
  const last = segments
    .map(({ name }) => name)
    .filter((name) => isOnPath(name, facts) && place(name) >= place(from) && hasItsOwn(name, facts))
    .sort((a, b) => place(a) - place(b) || a.timeline - b.timeline)
    .at(-1);
  return last === undefined ? undefined : { last, segmentSize: layout.segmentSize };
}

/** From the timeline of the last restartpoint to the newest that branched off it, as the server looks for it. */
export function pathOf(timeline: number, histories: Histories, layout: WalLayout): TimelinePath {
  const path = pathTo(latestTimeline(timeline, histories), histories, layout);
  return path.some((part) => part.timeline === timeline) ? path : pathTo(timeline, histories, layout);
}

async function readSize(path: string): Promise<number | undefined> {
  try {
    await access(path, constants.R_OK);
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/** As the base backup recorded it, or as most of the segments have it. */
function segmentSizeOf(directory: DataDirectory, segments: readonly ArchivedSegment[]): number | undefined {
  const recorded = directory.record.backup?.segmentSize;
  if (recorded !== undefined) return recorded;
  const counts = new Map<number, number>();
  for (const { size } of segments)
    if (size !== undefined && isSegmentSize(size)) counts.set(size, (counts.get(size) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}

function nextSegmentOf(
  directory: DataDirectory,
  replayed: bigint | undefined,
  layout: WalLayout,
): SegmentName | undefined {
  const { control, backupLabel } = directory;
  if (control === undefined) return undefined;
  if (replayed !== undefined) return segmentContaining(control.timeline, replayed, layout);
  return backupLabel?.startSegment ?? segmentContaining(control.timeline, control.redoLsn, layout);
}

/**
 * Segments of pg_wal that can be replayed: one that waits for its reuse has its next name already, and the contents that it
 * had before.
 */
async function goodSegments(
  walDirectory: string,
  names: readonly WalName[],
  systemIdentifier: string,
): Promise<readonly SegmentName[]> {
  const good: SegmentName[] = [];
  for (const name of names) {
    if (name.kind !== 'segment') continue;
    const start = await readSegmentStart(join(walDirectory, name.name)).catch(() => undefined);
    if (start === undefined) continue;
    const expected = {
      name,
      systemIdentifier,
      fileSize: start.size,
      isAncestor: (older: number) => older < name.timeline,
    };
    if (checkSegmentHeader(start.bytes, expected).kind === 'good') good.push(name);
  }
  return good;
}

async function readSizes({ directory, files }: Archive): Promise<readonly ArchivedSegment[]> {
  const segments: ArchivedSegment[] = [];
  for (const name of files)
    if (name.kind === 'segment') segments.push({ name, size: await readSize(join(directory, name.name)) });
  return segments;
}

const nothing: ArchiveCheck = { problems: [], end: undefined };

/** Looks at every archived segment that is still to be replayed. */
export async function checkArchive(
  directory: DataDirectory,
  archive: Archive,
  replayed: bigint | undefined,
): Promise<ArchiveCheck> {
  const { pgdata, capabilities, control } = directory;
  const segments = await readSizes(archive);
  const segmentSize = segmentSizeOf(directory, segments);
  if (segmentSize === undefined || control === undefined) return nothing;
  const layout = { segmentSize, walSegmentSkipsFF: capabilities.walSegmentSkipsFF };
  const from = nextSegmentOf(directory, replayed, layout);
  if (from === undefined) return nothing;
  const walDirectory = join(pgdata, capabilities.walDirName);
  const local = await listWal(walDirectory);
  const archived = await readHistories(archive.directory, archive.files);
  const histories = new Map([...(await readHistories(walDirectory, local)).histories, ...archived.histories]);
  const facts: ReplayFacts = {
    segments,
    from,
    path: pathOf(from.timeline, histories, layout),
    inPgWal: await goodSegments(walDirectory, local, control.systemIdentifier),
    layout,
  };
  const problems = findReplayProblems(facts);
  return { problems, end: problems.length > 0 ? undefined : findArchivedEnd(facts) };
}
