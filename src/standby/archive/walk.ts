/** Determines how far a recovery can come with the available WAL. Pure. */
import { firstLsnOf, isPossibleSegment, nameOf, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { ArchiveContents, FoundSegment } from './contents.ts';

export interface Walk {
  /** The number of the last segment that can be replayed; `from - 1` if there is none. */
  readonly lastNumber: number;
  readonly last: SegmentName | undefined;
  /** The first byte that is not available. */
  readonly endLsn: bigint;
  /** Names the WAL beyond, and why it is out of reach; undefined where the WAL simply ends. */
  readonly obstacle: string | undefined;
}

/** The segments that a recovery along this path may take, newest timeline first for each number. */
function placesOn(path: TimelinePath, contents: ArchiveContents): Map<number, FoundSegment> {
  const { layout, segments, inPgWal } = contents;
  const all: readonly FoundSegment[] = [
    ...inPgWal.map((name) => ({ name, bytes: layout.segmentSize, fault: undefined })),
    ...segments,
  ];
  const places = new Map<number, FoundSegment>();
  for (const { timeline, firstNumber, lastNumber } of path) {
    for (const segment of all) {
      if (segment.name.timeline !== timeline || !isPossibleSegment(segment.name, layout)) continue;
      const number = segmentNumber(segment.name, layout);
      if (number >= firstNumber && number <= lastNumber) places.set(number, segment);
    }
  }
  return places;
}

function obstacleAt(
  number: number,
  places: ReadonlyMap<number, FoundSegment>,
  path: TimelinePath,
  layout: WalLayout,
): string | undefined {
  const found = places.get(number);
  if (found !== undefined) return `segment ${found.name.text} cannot be replayed: ${found.fault ?? ''}`;
  if (![...places.keys()].some((other) => other > number)) return undefined;
  const part = path.findLast(({ firstNumber, lastNumber }) => number >= firstNumber && number <= lastNumber);
  return `segment ${nameOf(part?.timeline ?? 1, number, layout).text} is missing`;
}

export function walk(contents: ArchiveContents, path: TimelinePath, from: number): Walk {
  const { layout } = contents;
  const places = placesOn(path, contents);
  let number = from;
  while (places.has(number) && places.get(number)?.fault === undefined) number++;
  return {
    lastNumber: number - 1,
    last: number === from ? undefined : places.get(number - 1)?.name,
    endLsn: firstLsnOf(nameOf(1, number, layout), layout.segmentSize),
    obstacle: obstacleAt(number, places, path, layout),
  };
}
