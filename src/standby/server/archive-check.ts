import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isSegmentSize,
  nameOf,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import type { Archive } from './archive.ts';
import type { DataDirectory } from './data-directory.ts';

export interface ArchivedSegment {
  readonly name: SegmentName;
  /** Bytes; undefined for a file that we may not read. */
  readonly size: number | undefined;
}

export interface ReplayFacts {
  readonly segments: readonly ArchivedSegment[];
  /** The segment that is replayed next. */
  readonly from: SegmentName;
  /** Segments that lie in pg_wal, streamed or restored. */
  readonly inPgWal: ReadonlySet<string>;
  readonly layout: WalLayout;
}

/** A list this long helps nobody. */
const mostShown = 5;

/** Places in the WAL from `from` to the last archived segment of which there is no segment, whatever its timeline. */
function findGaps({ segments, from, inPgWal, layout }: ReplayFacts): string[] {
  const numbers = new Set(segments.map(({ name }) => segmentNumber(name, layout)));
  for (const file of inPgWal) {
    const name = parseWalName(file);
    if (name.kind === 'segment') numbers.add(segmentNumber(name, layout));
  }
  const last = Math.max(...segments.map(({ name }) => segmentNumber(name, layout)));
  const missing: string[] = [];
  for (let number = segmentNumber(from, layout); number < last && missing.length < mostShown; number++)
    if (!numbers.has(number))
      missing.push(`segment ${nameOf(from.timeline, number, layout).name} is missing`);
  return missing;
}

/**
 * What would keep a promotion from replaying all that the archive holds: it takes a segment that cannot be had for the end
 * of the WAL, and leaves the later ones behind.
 */
export function findReplayProblems(facts: ReplayFacts): readonly string[] {
  const { from, layout } = facts;
  const start = segmentNumber(from, layout);
  const segments = facts.segments.filter(({ name }) => segmentNumber(name, layout) >= start);
  if (segments.length === 0) return [];
  const spoilt = segments.flatMap(({ name, size }) => {
    if (size === undefined) return [`segment ${name.name} cannot be read`];
    if (size === layout.segmentSize) return [];
    return [`segment ${name.name} has ${size} bytes instead of ${layout.segmentSize}`];
  });
  return [...findGaps({ ...facts, segments }), ...spoilt.slice(0, mostShown)];
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

/** Looks at every archived segment that is still to be replayed. */
export async function checkArchive(
  directory: DataDirectory,
  archive: Archive,
  replayed: bigint | undefined,
): Promise<readonly string[]> {
  const { pgdata, capabilities } = directory;
  const segments: ArchivedSegment[] = [];
  for (const name of archive.files)
    if (name.kind === 'segment')
      segments.push({ name, size: await readSize(join(archive.directory, name.name)) });
  const segmentSize = segmentSizeOf(directory, segments);
  if (segmentSize === undefined) return [];
  const layout = { segmentSize, walSegmentSkipsFF: capabilities.walSegmentSkipsFF };
  const from = nextSegmentOf(directory, replayed, layout);
  if (from === undefined) return [];
  const inPgWal = new Set(await readdir(join(pgdata, capabilities.walDirName)).catch(() => []));
  return findReplayProblems({ segments, from, inPgWal, layout });
}
