/** Whether the history of another server contains all WAL that this host has. Pure. */
import type { TimelineEntry } from '../../postgres/history.ts';
import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import type { EndOfWal } from './end-of-wal.ts';

/** The timeline that a server writes, or replays, and the way to it. */
export interface Lineage {
  readonly timeline: number;
  /** The ancestors of that timeline, oldest first. */
  readonly history: readonly TimelineEntry[];
  /** The end of its WAL. */
  readonly lsn: bigint;
}

/** The end of the WAL that this host's data contains. */
export interface OwnPlace {
  readonly timeline: number;
  readonly lsn: bigint;
  /** A record of this host begins there, a shutdown checkpoint, and must be contained too. */
  readonly isRecordStart: boolean;
  /** The reason why the location is not known. */
  readonly unknown?: string;
  /** The ancestors of the timeline as this host knows them; undefined if it has no history file. */
  readonly history: readonly TimelineEntry[] | undefined;
  /** Set for a primary that does not run any more. */
  readonly end?: EndOfWal;
}

function isSameEntry(one: TimelineEntry, other: TimelineEntry | undefined): boolean {
  if (one.timeline !== other?.timeline) return false;
  if (one.end.kind === 'lsn') return other.end.kind === 'lsn' && one.end.lsn === other.end.lsn;
  return other.end.kind === 'segment' && one.end.segment.text === other.end.segment.text;
}

/** Two servers may have been promoted to timelines of the same number. */
function otherOrigin({ history }: OwnPlace, ancestors: readonly TimelineEntry[]): TimelineEntry | undefined {
  return history?.find((entry, index) => !isSameEntry(entry, ancestors[index]));
}

/** The ancestors of one of these timelines; undefined if it is none of them, or they are not known. */
function ancestorsOf(
  wanted: number,
  { timeline, history }: Pick<OwnPlace, 'timeline' | 'history'>,
): readonly TimelineEntry[] | undefined {
  if (wanted === timeline) return history ?? (timeline === 1 ? [] : undefined);
  const index = history?.findIndex((entry) => entry.timeline === wanted) ?? -1;
  return index < 0 ? undefined : history?.slice(0, index);
}

/** Whether a timeline of this number is the same one here and there: both servers may have been promoted to it. */
export function isSharedTimeline(timeline: number, own: OwnPlace, there: Lineage): boolean {
  const ours = ancestorsOf(timeline, own);
  const theirs = ancestorsOf(timeline, there);
  if (ours === undefined || theirs?.length !== ours.length) return false;
  return ours.every((entry, index) => isSameEntry(entry, theirs[index]));
}

/** Where the new primary's history left this timeline; undefined if it does not contain the timeline at all. */
export function forkOf(timeline: number, { timeline: theirs, history }: Lineage): bigint | undefined {
  if (timeline === theirs) return undefined;
  const entry = history.find((each) => each.timeline === timeline);
  return entry?.end.kind === 'lsn' ? entry.end.lsn : undefined;
}

/** Why the other server cannot be followed from here; undefined if it can. */
export function whyNotContained(own: OwnPlace, { timeline, history, lsn }: Lineage): string | undefined {
  if (own.unknown !== undefined) return `up to where this host has WAL is unknown: ${own.unknown}`;
  const index = history.findIndex((entry) => entry.timeline === own.timeline);
  const entry = history[index];
  const isOwn = own.timeline === timeline;
  if (entry === undefined && !isOwn)
    return `timeline ${own.timeline}, which this host is on, is not in the history of its timeline ${timeline}`;
  const other = otherOrigin(own, isOwn ? history : history.slice(0, index));
  if (other !== undefined)
    return `its timeline ${own.timeline} is another one: here it comes from timeline ${other.timeline} at another location`;
  if (entry === undefined) {
    if (own.isRecordStart)
      return `it is on timeline ${timeline} as this host's own server was: it was not promoted`;
    return own.lsn > lsn
      ? `this host has WAL of timeline ${timeline} up to ${formatLsn(own.lsn)}, and it has no more than up to ${formatLsn(lsn)}`
      : undefined;
  }
  if (entry.end.kind === 'segment')
    return `its history file does not show at which location timeline ${own.timeline} was left`;
  const fork = entry.end.lsn;
  if (own.isRecordStart ? own.lsn < fork : own.lsn <= fork) return undefined;
  const what = own.isRecordStart ? 'its last checkpoint at' : 'WAL up to';
  return `its timeline ${timeline} left timeline ${own.timeline} at ${formatLsn(fork)}, and this host has ${what} ${formatLsn(own.lsn)}`;
}

/** The mark that says that the other server is on a branch that was left. */
export function markAgainst(
  left: readonly LeftTimeline[],
  { timeline, history }: Lineage,
): LeftTimeline | undefined {
  return left.find((mark) => {
    if (mark.timeline === timeline) return true;
    const entry = history.find((each) => each.timeline === mark.timeline);
    return entry?.end.kind === 'lsn' && entry.end.lsn > mark.lsn;
  });
}

/** The marks that the other server's history contains. */
export function marksOf({ history }: Lineage, by: string): readonly LeftTimeline[] {
  return history.flatMap(({ timeline, end }) => (end.kind === 'lsn' ? [{ timeline, lsn: end.lsn, by }] : []));
}
