/** Determines which files of this server's history a standby lacks. Pure. */
import { formatLsn, nameOf, segmentContaining, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import { pathTo, type TimelinePath } from '../../postgres/timelines.ts';
import { historyName, type WalName } from '../../postgres/wal-name.ts';
import type { OwnWal } from '../wal/own-wal.ts';
import type { Gap } from './state.ts';

/** The WAL that a standby says it has. */
export interface Holdings {
  /** Where its recovery would start again. */
  readonly restartpoint: { readonly timeline: number; readonly lsn: bigint };
  readonly names: ReadonlySet<string>;
  /** Segments that its archive lacks and that its own recovery finds in pg_wal. */
  readonly own: ReadonlySet<string>;
  /** The files that it has under a name without being what it says, and why. */
  readonly faulty: ReadonlyMap<string, string>;
  /** Segments that contain this location or later WAL may be there without being named. */
  readonly incompleteFrom: bigint | undefined;
}

/** One file that is lacking. */
export interface Lacking {
  readonly name: WalName;
  /** The standby can do without it, if it cannot be had. */
  readonly isOptional: boolean;
}

export type CatchUpPlan =
  | { readonly kind: 'lacks'; readonly files: readonly Lacking[] }
  /** The standby has left this server's history, or never was in it. */
  | { readonly kind: 'off-path'; readonly reason: string };

type Wal = Pick<OwnWal, 'timeline' | 'histories' | 'layout' | 'end'>;

function numberAt(lsn: bigint, layout: WalLayout): number {
  return segmentNumber(segmentContaining(1, lsn, layout), layout);
}

/** Whether this server's WAL leads on from the restartpoint. */
function isOnPath({ restartpoint }: Holdings, path: TimelinePath, layout: WalLayout): boolean {
  const part = path.find(({ timeline }) => timeline === restartpoint.timeline);
  if (part === undefined) return false;
  if (part.endLsn !== undefined) return restartpoint.lsn <= part.endLsn;
  return numberAt(restartpoint.lsn, layout) <= part.lastNumber;
}

/**
 * The history files of the way, and of other branches if they are here: a standby asks for one after the other, up to
 * the first that does not exist.
 */
function histories({ timeline: own, histories: here }: Wal, there: Holdings, path: TimelinePath): Lacking[] {
  const needed = path.slice(1).map(({ timeline }) => timeline);
  const known = [...here.keys()].filter((timeline) => timeline < own);
  return [...new Set([...needed, ...known])]
    .sort((a, b) => a - b)
    .map((timeline) => ({
      name: historyName(timeline),
      isOptional: !needed.includes(timeline) || timeline <= there.restartpoint.timeline,
    }))
    .filter(({ name }) => !there.names.has(name.text));
}

/**
 * The names under which the segment of this number can be part of the history, newest timeline first. At a fork it is
 * the newer timeline's file, which holds the older one's WAL up to there: the older file reaches past the fork. Up to
 * 9.2 a history file does not say whether it does. There it counts if the standby has it, but is never sent.
 */
function namesOf(number: number, path: TimelinePath, layout: WalLayout): readonly WalName[] {
  const parts = path.filter(({ firstNumber, lastNumber }) => number >= firstNumber && number <= lastNumber);
  const newest = parts.at(-1)?.timeline;
  return parts
    .filter(({ timeline, endLsn }) => timeline === newest || endLsn === undefined)
    .map(({ timeline }) => nameOf(timeline, number, layout))
    .reverse();
}

/** @param from the location from which on the standby was asked */
export function planCatchUp(own: Wal, there: Holdings, from: bigint): CatchUpPlan {
  const { timeline, layout, end } = own;
  const path = pathTo(timeline, own.histories, layout);
  const { restartpoint, incompleteFrom } = there;
  if (!isOnPath(there, path, layout)) {
    const reason = `its restartpoint is at ${formatLsn(restartpoint.lsn)} on timeline ${restartpoint.timeline}, which is not part of the history of timeline ${timeline}`;
    return { kind: 'off-path', reason };
  }
  const first = numberAt(restartpoint.lsn > from ? restartpoint.lsn : from, layout);
  const last = incompleteFrom === undefined ? end : Math.min(end, numberAt(incompleteFrom, layout));
  const segments: Lacking[] = [];
  for (let number = first; number < last; number++) {
    const [name, ...others] = namesOf(number, path, layout);
    if (name === undefined || [name, ...others].some(({ text }) => there.names.has(text))) continue;
    segments.push({ name, isOptional: there.own.has(name.text) });
  }
  return { kind: 'lacks', files: [...histories(own, there, path), ...segments] };
}

/** Consecutive segments of a timeline make one range. */
export function rangesOf(names: readonly WalName[], layout: WalLayout): Gap['missing'] {
  const ranges: { first: string; last: string; timeline: number; next: number }[] = [];
  for (const name of names) {
    const number = name.kind === 'segment' ? segmentNumber(name, layout) : -1;
    const timeline = name.kind === 'segment' ? name.timeline : 0;
    const range = ranges.at(-1);
    if (range !== undefined && timeline > 0 && range.timeline === timeline && range.next === number) {
      range.last = name.text;
      range.next = number + 1;
    } else ranges.push({ first: name.text, last: name.text, timeline, next: number + 1 });
  }
  return ranges.map(({ first, last }) => ({ first, last }));
}

/** The most ranges that are remembered: a few say what the standby needs. */
const mostRanges = 10;

export function boundRanges(ranges: Gap['missing']): Gap['missing'] {
  if (ranges.length <= mostRanges) return ranges;
  const [kept, rest] = [ranges.slice(0, mostRanges - 1), ranges.slice(mostRanges - 1)];
  return [...kept, { first: rest[0]?.first ?? '', last: rest.at(-1)?.last ?? '' }];
}
