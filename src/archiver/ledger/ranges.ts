/** Segments of one timeline as ranges without a gap. Pure. */
import { isPossibleSegment, nameOf, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { TimelinePath } from '../../postgres/timelines.ts';
import { parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import { isTime } from '../../system/journal.ts';
import { type Checked, is } from '../../system/json.ts';

/** From the segment of one number to that of another, both included. */
export interface Range {
  readonly timeline: number;
  readonly first: number;
  readonly last: number;
  /** When the first and the last of them was delivered; ISO 8601. */
  readonly firstAt: string;
  readonly lastAt: string;
  /** How many of them were not seen to be delivered: the standby said later that it has them. */
  readonly learned: number;
}

/** As it is written: names are for people. */
export const rangeFields = {
  first: is.text,
  last: is.text,
  firstAt: isTime,
  lastAt: isTime,
  learned: is.optional(is.number),
};

export type WrittenRange = Checked<typeof rangeFields>;

export function writtenRange(range: Range, layout: WalLayout): WrittenRange {
  const { timeline, first, last, firstAt, lastAt, learned } = range;
  return {
    first: nameOf(timeline, first, layout).text,
    last: nameOf(timeline, last, layout).text,
    firstAt,
    lastAt,
    ...(learned > 0 ? { learned } : {}),
  };
}

/** A name that a cluster with this layout can write; undefined for any other text. */
export function segmentOf(text: string, layout: WalLayout): SegmentName | undefined {
  const name = parseWalName(text);
  return name.kind === 'segment' && isPossibleSegment(name, layout) ? name : undefined;
}

/** Throws for a range that there cannot be. */
export function readRange(written: WrittenRange, layout: WalLayout): Range {
  const [first, last] = [segmentOf(written.first, layout), segmentOf(written.last, layout)];
  if (first === undefined || last === undefined) throw new Error('it names no WAL segment');
  const numbers = { first: segmentNumber(first, layout), last: segmentNumber(last, layout) };
  const learned = written.learned ?? 0;
  if (first.timeline !== last.timeline || numbers.first > numbers.last)
    throw new Error('it is no range of WAL');
  if (learned < 0 || learned > countOf(numbers)) throw new Error('it counts more segments than it has');
  const { firstAt, lastAt } = written;
  return { timeline: first.timeline, ...numbers, firstAt, lastAt, learned };
}

export function countOf({ first, last }: Pick<Range, 'first' | 'last'>): number {
  return last - first + 1;
}

function touches(a: Range, b: Range): boolean {
  return a.timeline === b.timeline && a.first <= b.last + 1 && b.first <= a.last + 1;
}

/** The one that reaches further; of two that end together the one that did so first. */
function further(a: Range, b: Range): Range {
  if (a.last !== b.last) return a.last > b.last ? a : b;
  return a.lastAt <= b.lastAt ? a : b;
}

/** Two ranges that touch as one. */
function joined(a: Range, b: Range): Range {
  const earlier = a.first <= b.first ? a : b;
  const { last, lastAt } = further(a, b);
  const { timeline, first, firstAt } = earlier;
  const learned = Math.min(countOf({ first, last }), a.learned + b.learned);
  return { timeline, first, last, firstAt, lastAt, learned };
}

/**
 * The ranges with one more, which stands last. One that is in them already changes nothing: what is delivered again was
 * delivered then.
 */
export function withRange(ranges: readonly Range[], added: Range): readonly Range[] {
  const within = ranges.find(
    ({ timeline, first, last }) => timeline === added.timeline && first <= added.first && added.last <= last,
  );
  if (within !== undefined) return ranges;
  const others = ranges.filter((range) => !touches(range, added));
  const all = ranges.filter((range) => touches(range, added)).reduce(joined, added);
  return [...others, all];
}

/** In the order of timelines and numbers, without overlaps: what was closed twice counts once. */
export function sortedRanges(ranges: readonly Range[]): readonly Range[] {
  const sorted = [...ranges].sort((a, b) => a.timeline - b.timeline || a.first - b.first);
  const result: Range[] = [];
  for (const range of sorted) {
    const before = result.at(-1);
    if (before !== undefined && touches(before, range)) result[result.length - 1] = joined(before, range);
    else result.push(range);
  }
  return result;
}

/** A stretch of one timeline. */
type Stretch = Pick<Range, 'timeline' | 'first' | 'last'>;

/** The gaps between ranges of the same timeline. */
export function holesIn(sorted: readonly Range[]): readonly Stretch[] {
  return sorted.flatMap((range, index) => {
    const next = sorted[index + 1];
    if (next?.timeline !== range.timeline) return [];
    return [{ timeline: range.timeline, first: range.last + 1, last: next.first - 1 }];
  });
}

/**
 * The gaps across a promotion: from the last range of a timeline to the first of a later one, on the way between them.
 *
 * @param wayTo the way to a timeline; none goes by a timeline that it does not name
 */
export function holesAcross(
  sorted: readonly Range[],
  wayTo: (timeline: number) => TimelinePath,
): readonly Stretch[] {
  return sorted.flatMap((range, index) => {
    const next = sorted[index + 1];
    if (next === undefined || next.timeline === range.timeline) return [];
    const way = wayTo(next.timeline);
    const begin = way.findIndex(({ timeline }) => timeline === range.timeline);
    if (begin === -1) return [];
    return way.slice(begin).flatMap(({ timeline, firstNumber, lastNumber }) => {
      const first = timeline === range.timeline ? Math.max(firstNumber, range.last + 1) : firstNumber;
      // The segment with the branch point is the later timeline's.
      const last = timeline === next.timeline ? next.first - 1 : lastNumber - 1;
      return first > last ? [] : [{ timeline, first, last }];
    });
  });
}
