import { describe, expect, test } from 'vitest';
import {
  formatLeft,
  leftMarkOf,
  type LeftTimeline,
  parseLeft,
  withLeft,
} from '../../../src/postgres/left-timeline.ts';
import { parseLsn } from '../../../src/postgres/lsn.ts';
import { parseWalName } from '../../../src/postgres/wal-name.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };

function left(timeline: number, lsn: string): LeftTimeline {
  return { timeline, lsn: parseLsn(lsn), by: 'beta' };
}

function isForbidden(text: string, mark: LeftTimeline): boolean {
  const name = parseWalName(text);
  if (name.kind === 'not-wal') throw new Error(name.reason);
  return leftMarkOf(name, [mark], layout) !== undefined;
}

describe('a timeline that was left', () => {
  test.each([
    ['the segment before the fork is still part of the history', '000000010000000000000004', false],
    ['the segment with the fork is forbidden', '000000010000000000000005', true],
    ['a later segment is forbidden', '0000000100000001000000FF', true],
    ['a partial segment is not read by any recovery', '000000010000000000000005.partial', false],
    ['a history file is allowed', '00000001.history', false],
    ['the file of a backup is allowed', '000000010000000000000005.00000028.backup', false],
    ['the same segment of the new timeline is allowed', '000000020000000000000005', false],
  ])('%s', (_, name, expected) => {
    expect(isForbidden(name, left(1, '0/5000060'))).toBe(expected);
  });

  test('a segment that ends exactly at the fork is part of the history', () => {
    expect(isForbidden('000000010000000000000004', left(1, '0/5000000'))).toBe(false);
    expect(isForbidden('000000010000000000000005', left(1, '0/5000000'))).toBe(true);
  });
});

test('a mark is read back as it was written', () => {
  const mark = left(7, '1A/A300B2F8');
  expect(formatLeft(mark)).toBe('7 1A/A300B2F8 beta');
  expect(parseLeft(formatLeft(mark))).toEqual(mark);
});

test.each([
  '',
  '1',
  '1 0/1',
  '01 0/1 a',
  '0 0/1 a',
  '1 0/1 -a',
  '1 0/1 a b',
  '1 0/G a',
  '99999999999 0/1 a',
  '1 0/1 a\x1b',
])('%j is no mark', (text) => {
  expect(parseLeft(text)).toBeUndefined();
});

test('of two marks of one timeline the earlier location counts', () => {
  const early = left(1, '0/5000060');
  const late = left(1, '0/9000000');
  expect(withLeft([late], early)).toEqual([early]);
  expect(withLeft([early], late)).toEqual([early]);
  expect(withLeft([left(2, '0/A000000')], early)).toEqual([early, left(2, '0/A000000')]);
});
