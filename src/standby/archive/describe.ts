/** The listing as text. Pure. */
import { formatLsn } from '../../postgres/lsn.ts';
import type { ArchiveContents } from './contents.ts';
import type { Stretch, TimelineListing } from './listing.ts';

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
