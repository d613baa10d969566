import { describe, expect, test } from 'vitest';
import {
  countSegments,
  firstLsnOf,
  formatLsn,
  isPossibleSegment,
  isSegmentSize,
  listSegments,
  nameOf,
  parseLsn,
  previousSegment,
  segmentContaining,
  segmentEndingAt,
  segmentNumber,
  type WalLayout,
} from '../../../src/postgres/lsn.ts';
import { parseWalName, type SegmentName } from '../../../src/postgres/wal-name.ts';

const mb = 1024 * 1024;
const layout = (segmentMb = 16): WalLayout => ({ segmentSize: segmentMb * mb, walSegmentSkipsFF: false });
const old: WalLayout = { segmentSize: 16 * mb, walSegmentSkipsFF: true };

function segment(name: string): SegmentName {
  const parsed = parseWalName(name);
  if (parsed.kind !== 'segment') throw new Error(name);
  return parsed;
}

describe('a location in the WAL', () => {
  test.each([
    ['0/0', 0n],
    ['1/25000020', 0x1_2500_0020n],
    ['FFFFFFFF/FFFFFFFF', 0xffff_ffff_ffff_ffffn],
    ['16/B374D848', 0x16_b374_d848n],
  ])('%s is read and written', (text, lsn) => {
    expect(parseLsn(text)).toBe(lsn);
    expect(formatLsn(lsn)).toBe(text);
  });

  test('is read with leading zeros and lower case, which some programs write', () => {
    expect(parseLsn('00000001/0a000028')).toBe(0x1_0a00_0028n);
  });

  test.each(['', '1', '1/', '/1', '1/G', '123456789/0', '1/2/3', ' 1/2', '-1/2', '1/2\n'])(
    'is not %j',
    (text) => {
      expect(() => parseLsn(text)).toThrow('not a WAL location');
    },
  );
});

test.each([
  [1, true],
  [16, true],
  [1024, true],
  [0.5, false],
  [2048, false],
  [3, false],
  [0, false],
])('segments of %i MB are possible: %s', (size, possible) => {
  expect(isSegmentSize(size * mb)).toBe(possible);
});

describe('consecutive segments', () => {
  test.each([
    ['000000010000000000000001', '000000010000000000000002', layout()],
    ['0000000100000000000000FE', '0000000100000000000000FF', layout()],
    ['0000000100000000000000FF', '000000010000000100000000', layout()],
    ['000000010000000000000FFF', '000000010000000100000000', layout(1)],
    ['000000010000000000000003', '000000010000000100000000', layout(1024)],
    ['00000001000000000000003F', '000000010000000100000000', layout(64)],
    ['000000030000000A000000FE', '000000030000000B00000000', old],
    ['000000030000000A0000003E', '000000030000000B00000000', { ...old, segmentSize: 64 * mb }],
  ])('%s is followed by %s', (name, next, of) => {
    expect(previousSegment(segment(next), of)?.text).toBe(name);
    expect(nameOf(segment(name).timeline, segmentNumber(segment(name), of), of).text).toBe(name);
  });

  test('begin with the first one', () => {
    expect(previousSegment(segment('000000010000000000000000'), layout())).toBeUndefined();
  });

  test('have only names that the layout contains', () => {
    expect(isPossibleSegment(segment('0000000100000000000000FF'), layout())).toBe(true);
    expect(isPossibleSegment(segment('0000000100000000000000FF'), old)).toBe(false);
    expect(() => segmentNumber(segment('0000000100000000000000FF'), old)).toThrow(
      'no segment 0000000100000000000000FF',
    );
    expect(() => segmentNumber(segment('000000010000000000000100'), layout())).toThrow('can exist');
    expect(() => segmentNumber(segment('000000010000000000000001'), layout(3))).toThrow(
      'impossible WAL segment size',
    );
  });
});

describe('the segment of a location', () => {
  test('is the same for the byte there and for the byte before, inside a segment', () => {
    const lsn = parseLsn('1/25000020');
    expect(segmentContaining(1, lsn, layout()).text).toBe('000000010000000100000025');
    expect(segmentEndingAt(1, lsn, layout()).text).toBe('000000010000000100000025');
  });

  test('is the next one for a start on a boundary, and the one before for an end there', () => {
    const lsn = parseLsn('1/26000000');
    expect(segmentContaining(1, lsn, layout()).text).toBe('000000010000000100000026');
    expect(segmentEndingAt(1, lsn, layout()).text).toBe('000000010000000100000025');
  });

  test('is the right one on the boundary of a log', () => {
    expect(segmentEndingAt(2, parseLsn('2/0'), layout()).text).toBe('0000000200000001000000FF');
    expect(segmentEndingAt(2, parseLsn('2/0'), old).text).toBe('0000000200000001000000FE');
  });

  test('is the next one for a location in the segment that 9.2 skips', () => {
    expect(segmentContaining(1, parseLsn('1/FF000000'), old).text).toBe('000000010000000200000000');
    expect(segmentEndingAt(1, parseLsn('1/FF000000'), old).text).toBe('0000000100000001000000FE');
  });

  test('does not exist before the first byte', () => {
    expect(() => segmentEndingAt(1, 0n, layout())).toThrow('no WAL lies before');
  });

  test.each([1, 16, 64, 1024])(
    'has its first byte at the right location, with segments of %i MB',
    (segmentMb) => {
      const lsn = parseLsn('7/C0000000');
      const name = segmentContaining(1, lsn, layout(segmentMb));
      expect(firstLsnOf(name, segmentMb * mb)).toBe(lsn);
    },
  );
});

describe('a range of segments', () => {
  test('is counted with both ends', () => {
    const first = segment('0000000100000000000000FE');
    expect(countSegments(first, first, layout())).toBe(1);
    expect(countSegments(first, segment('000000010000000100000001'), layout())).toBe(4);
    expect(countSegments(first, segment('000000010000000100000001'), old)).toBe(3);
    expect(countSegments(first, segment('000000010000000000000001'), layout())).toBe(0);
  });

  test('is listed in order', () => {
    const names = listSegments(
      segment('0000000100000000000000FE'),
      segment('000000010000000100000001'),
      layout(),
    );
    expect(names.map(({ text }) => text)).toEqual([
      '0000000100000000000000FE',
      '0000000100000000000000FF',
      '000000010000000100000000',
      '000000010000000100000001',
    ]);
  });

  test('must not cross timelines or be too long', () => {
    const first = segment('000000010000000000000001');
    expect(() => listSegments(first, segment('000000020000000000000001'), layout())).toThrow(
      'different timelines',
    );
    expect(() => listSegments(first, segment('00000001FFFFFFFF00000001'), layout())).toThrow(
      'too many segments',
    );
  });
});
