/** The contents of an archive by timeline, and their description. Pure. */
import { firstLsnOf, formatLsn, isPossibleSegment, nameOf, segmentNumber } from '../../postgres/lsn.ts';
import { pathTo, type TimelinePath } from '../../postgres/timelines.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { ArchiveContents, FoundSegment } from './contents.ts';

interface Stretch {
  readonly first: SegmentName;
  readonly last: SegmentName;
  readonly count: number;
}

interface TimelineListing {
  readonly timeline: number;
  /** The timeline that it branched off, and where; undefined if it has no history. */
  readonly parent: { readonly timeline: number; readonly lsn: bigint | undefined } | undefined;
  readonly bytes: number;
  readonly firstLsn: bigint;
  /** The first byte after the last segment. */
  readonly endLsn: bigint;
  /** Segments without a gap between them. */
  readonly stretches: readonly Stretch[];
  readonly gaps: readonly Stretch[];
  readonly unusable: readonly { readonly name: string; readonly reason: string }[];
  /** How many segments follow the place where the way to the newest timeline leaves this one. */
  readonly leftBehind: number;
}

type Numbered = readonly (FoundSegment & { readonly number: number })[];

function numberedOf(contents: ArchiveContents, timeline: number): Numbered {
  const { layout } = contents;
  return contents.segments
    .filter(({ name }) => name.timeline === timeline && isPossibleSegment(name, layout))
    .map((segment) => ({ ...segment, number: segmentNumber(segment.name, layout) }))
    .sort((a, b) => a.number - b.number);
}

function stretchesOf(segments: Numbered, { layout }: ArchiveContents) {
  const stretches: Stretch[] = [];
  const gaps: Stretch[] = [];
  let start = 0;
  for (const [index, { name, number }] of segments.entries()) {
    const next = segments[index + 1];
    if (next?.number === number + 1) continue;
    const first = segments[start]?.name ?? name;
    stretches.push({ first, last: name, count: index - start + 1 });
    start = index + 1;
    if (next === undefined) continue;
    const place = (at: number) => nameOf(name.timeline, at, layout);
    gaps.push({ first: place(number + 1), last: place(next.number - 1), count: next.number - number - 1 });
  }
  return { stretches, gaps };
}

function listTimeline(
  contents: ArchiveContents,
  timeline: number,
  newest: TimelinePath,
): TimelineListing | undefined {
  const segments = numberedOf(contents, timeline);
  const [first, last] = [segments[0], segments.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const { layout, histories } = contents;
  const parent = pathTo(timeline, histories, layout).at(-2);
  const lastOnWay = newest.find((part) => part.timeline === timeline)?.lastNumber ?? -1;
  return {
    timeline,
    parent: parent === undefined ? undefined : { timeline: parent.timeline, lsn: parent.endLsn },
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    firstLsn: firstLsnOf(first.name, layout.segmentSize),
    endLsn: firstLsnOf(nameOf(timeline, last.number + 1, layout), layout.segmentSize),
    ...stretchesOf(segments, contents),
    unusable: segments.flatMap(({ name, fault }) =>
      fault === undefined ? [] : [{ name: name.text, reason: fault }],
    ),
    leftBehind: segments.filter(({ number }) => number > lastOnWay).length,
  };
}

/** @param newest the way that a recovery to the newest timeline takes */
export function listTimelines(contents: ArchiveContents, newest: TimelinePath): readonly TimelineListing[] {
  const timelines = [...new Set(contents.segments.map(({ name }) => name.timeline))].sort((a, b) => a - b);
  return timelines.flatMap((timeline) => listTimeline(contents, timeline, newest) ?? []);
}

const mebibyte = 1024 * 1024;

function plural(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

function stretchWords({ first, last, count }: Stretch): string {
  return count === 1 ? first.text : `${first.text} to ${last.text} (${count})`;
}

/** Stretches of segments and the gaps between them, in order. */
function placeLines({ stretches, gaps }: TimelineListing): string[] {
  return stretches.flatMap((stretch, index) => {
    const gap = gaps[index];
    const line = `  ${stretchWords(stretch)}`;
    return gap === undefined ? [line] : [line, `  missing: ${stretchWords(gap)}`];
  });
}

function originWords({ parent }: TimelineListing): string {
  if (parent === undefined) return '';
  const at = parent.lsn === undefined ? '' : ` at ${formatLsn(parent.lsn)}`;
  return `, from timeline ${parent.timeline}${at}`;
}

export function describeTimeline(listing: TimelineListing): string[] {
  const { timeline, stretches, bytes, firstLsn, endLsn, unusable, leftBehind } = listing;
  const count = stretches.reduce((sum, stretch) => sum + stretch.count, 0);
  const size = `${Math.round(bytes / mebibyte)} MB`;
  return [
    `Timeline ${timeline}${originWords(listing)}: ${plural(count, 'segment')}, ${size}, LSN ${formatLsn(firstLsn)} to ${formatLsn(endLsn)}`,
    ...placeLines(listing),
    ...unusable.map(({ name, reason }) => `  unusable: ${name}: ${reason}`),
    ...(leftBehind === 0
      ? []
      : [
          `  left behind: the newest timeline does not lead through the last ${plural(leftBehind, 'segment')}`,
        ]),
  ];
}

export function describeOthers({ histories, badHistories, partials, backups }: ArchiveContents): string[] {
  const timelines = [...histories.keys()].sort((a, b) => a - b);
  return [
    ...(timelines.length === 0 ? [] : [`History files of timelines: ${timelines.join(', ')}`]),
    ...badHistories.map((trouble) => `History file that cannot be read: ${trouble}`),
    ...partials.map(({ text: name }) => `Unfinished end of a timeline, never replayed: ${name}`),
    ...backups.map(({ text: name }) => `Mark of a base backup: ${name}`),
  ];
}
