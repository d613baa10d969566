/** The timelines of a cluster as its history files show them. Pure. */
import type { TimelineEntry } from './history.ts';
import { isPossibleSegment, nameOf, segmentContaining, segmentNumber, type WalLayout } from './lsn.ts';
import type { SegmentName } from './wal-name.ts';

/** History files by the timeline that they are named after. */
export type Histories = ReadonlyMap<number, readonly TimelineEntry[]>;

/** A timeline's part of the way from the beginning of the WAL to some timeline. */
interface PathPart {
  readonly timeline: number;
  /**
   * The numbers of its first and last segment, both included. The segment with the branch point belongs to both
   * timelines.
   */
  readonly firstNumber: number;
  readonly lastNumber: number;
  /** Where the next timeline branched off; undefined up to 9.2, and for the last part. */
  readonly endLsn: bigint | undefined;
}

/** Oldest first. */
export type TimelinePath = readonly PathPart[];

function endNumber({ timeline, end }: TimelineEntry, layout: WalLayout): number {
  const segment = end.kind === 'lsn' ? segmentContaining(timeline, end.lsn, layout) : end.segment;
  return segmentNumber(segment, layout);
}

/** Timeline 1 needs no history file. Any other timeline without a file has no ancestors, as for the server. */
export function pathTo(timeline: number, histories: Histories, layout: WalLayout): TimelinePath {
  const parts: PathPart[] = [];
  let firstNumber = 0;
  for (const entry of histories.get(timeline) ?? []) {
    const lastNumber = endNumber(entry, layout);
    const endLsn = entry.end.kind === 'lsn' ? entry.end.lsn : undefined;
    parts.push({ timeline: entry.timeline, firstNumber, lastNumber, endLsn });
    firstNumber = lastNumber;
  }
  return [...parts, { timeline, firstNumber, lastNumber: Number.MAX_SAFE_INTEGER, endLsn: undefined }];
}

function isOnPart(
  { timeline, firstNumber, lastNumber }: PathPart,
  name: SegmentName,
  layout: WalLayout,
): boolean {
  if (name.timeline !== timeline || !isPossibleSegment(name, layout)) return false;
  const number = segmentNumber(name, layout);
  return number >= firstNumber && number <= lastNumber;
}

/** Whether the server would need this segment: it ignores segments that an abandoned timeline left behind. */
export function isOnPath(path: TimelinePath, name: SegmentName, layout: WalLayout): boolean {
  return path.some((part) => isOnPart(part, name, layout));
}

/** The segments on the path by number: the newest timeline's for each place, and of those the last in the list. */
export function placesOn<T extends { readonly name: SegmentName }>(
  path: TimelinePath,
  segments: readonly T[],
  layout: WalLayout,
): ReadonlyMap<number, T> {
  const places = new Map<number, T>();
  for (const part of path)
    for (const segment of segments)
      if (isOnPart(part, segment.name, layout)) places.set(segmentNumber(segment.name, layout), segment);
  return places;
}

/** The name of a place's segment on the newest timeline there. */
export function nameOnPath(path: TimelinePath, number: number, layout: WalLayout): string {
  const part = path.findLast(({ firstNumber }) => firstNumber <= number);
  return nameOf(part?.timeline ?? 1, number, layout).text;
}

/** The timeline that the server takes for the newest: it asks for history files in turn, up to the first that is not there. */
export function latestTimeline(from: number, histories: Histories): number {
  let timeline = from;
  while (histories.has(timeline + 1)) timeline++;
  return timeline;
}
