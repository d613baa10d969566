import { parseHistory } from '../../../../src/postgres/history.ts';
import { parseWalName, type SegmentName } from '../../../../src/postgres/wal-name.ts';
import type { ArchiveContents, FoundSegment } from '../../../../src/standby/archive/contents.ts';

const segmentSize = 16 * 1024 * 1024;
export const layout = { segmentSize, walSegmentSkipsFF: false };

/** `2:5` is segment 5 of timeline 2. */
function segment(place: string): SegmentName {
  const [timeline = '1', number = '0'] = place.split(':');
  const hex = (value: string) => Number(value).toString(16).toUpperCase().padStart(8, '0');
  const name = parseWalName(`${hex(timeline)}00000000${hex(number)}`);
  if (name.kind !== 'segment') throw new Error(name.text);
  return name;
}

export function found(place: string, fault?: string): FoundSegment {
  return { name: segment(place), bytes: segmentSize, fault };
}

/** @param histories text of history files by timeline */
export function contents(
  segments: readonly (string | FoundSegment)[],
  histories: Readonly<Record<number, string>> = {},
  inPgWal: readonly string[] = [],
): ArchiveContents {
  return {
    directory: '/a',
    layout,
    segments: segments.map((one) => (typeof one === 'string' ? found(one) : one)),
    inPgWal: inPgWal.map(segment),
    partials: [],
    backups: [],
    histories: new Map(
      Object.entries(histories).map(([timeline, text]) => [
        Number(timeline),
        parseHistory(text, 'x.history'),
      ]),
    ),
    badHistories: [],
  };
}

/** Timeline 2 leaves 1 in segment 6, 3 leaves 2 in segment 8. */
export const twoPromotions = { 2: '1\t0/6000100\tx\n', 3: '1\t0/6000100\tx\n2\t0/8000100\tx\n' };
