/**
 * A timeline that a cluster has left: at a promotion that took the primary's role, another timeline branched off it.
 * From that location on, its WAL belongs to nobody's history any more. Pure.
 */
import { firstLsnOf, formatLsn, parseLsn, type WalLayout } from './lsn.ts';
import type { WalName } from './wal-name.ts';

export interface LeftTimeline {
  readonly timeline: number;
  /** Where the next timeline branched off. */
  readonly lsn: bigint;
  /** The host that was promoted there. */
  readonly by: string;
}

/** Host names and addresses, with the zone of an IPv6 address: no character that a shell or a file could misread. */
const hostShape = /^[A-Za-z0-9_][A-Za-z0-9_.:%-]{0,252}$/;

export function isHostWord(text: string): boolean {
  return hostShape.test(text);
}

/** The timeline of a WAL file's name; a number in decimal digits. */
export function parseTimeline(text: string): number | undefined {
  const timeline = Number(text);
  return /^[1-9]\d{0,9}$/.test(text) && timeline <= 0xffff_ffff ? timeline : undefined;
}

/** As in the sentinel: `TIMELINE LSN HOST`. */
export function formatLeft({ timeline, lsn, by }: LeftTimeline): string {
  return `${timeline} ${formatLsn(lsn)} ${by}`;
}

/** For messages: `timeline 1 was left at 0/A300B2F8 by hostb`. */
export function describeLeft({ timeline, lsn, by }: LeftTimeline): string {
  return `timeline ${timeline} was left at ${formatLsn(lsn)} by ${by}`;
}

/** Undefined for a text in any other form. */
export function parseLeft(text: string): LeftTimeline | undefined {
  const [first = '', second = '', by = '', ...rest] = text.split(' ');
  const timeline = parseTimeline(first);
  if (timeline === undefined || !/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(second)) return undefined;
  if (!isHostWord(by) || rest.length > 0) return undefined;
  return { timeline, lsn: parseLsn(second), by };
}

/**
 * The marks with one more. A timeline that was left twice counts as left at the earlier location: what lies behind it
 * is not in the history of both.
 */
export function withLeft(marks: readonly LeftTimeline[], mark: LeftTimeline): readonly LeftTimeline[] {
  const before = marks.find(({ timeline }) => timeline === mark.timeline);
  if (before !== undefined && before.lsn <= mark.lsn) return marks;
  const others = marks.filter(({ timeline }) => timeline !== mark.timeline);
  return [...others, mark].sort((a, b) => a.timeline - b.timeline);
}

/**
 * Whether a file holds WAL of the left timeline from behind the location where it was left. The segment that contains
 * this location does: the new timeline's segment of the same number holds the same WAL up to there. A `.partial`
 * file does not count, because no recovery reads it; nor does a history file.
 */
export function reachesPastFork(
  name: WalName,
  { timeline, lsn }: LeftTimeline,
  { segmentSize }: WalLayout,
): boolean {
  if (name.kind !== 'segment' || name.timeline !== timeline) return false;
  return firstLsnOf(name, segmentSize) + BigInt(segmentSize) > lsn;
}

/** The mark that forbids the file, if one does. */
export function leftMarkOf(
  name: WalName,
  marks: readonly LeftTimeline[],
  layout: WalLayout,
): LeftTimeline | undefined {
  return marks.find((mark) => reachesPastFork(name, mark, layout));
}

/** Whether a history with these forks leaves the timeline there or earlier: what lies behind the mark is not in it. */
export function leavesBy(forks: readonly LeftTimeline[], { timeline, lsn }: LeftTimeline): boolean {
  return forks.some((fork) => fork.timeline === timeline && fork.lsn <= lsn);
}
