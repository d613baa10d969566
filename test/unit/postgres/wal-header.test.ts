import { describe, expect, test } from 'vitest';
import {
  checkSegmentHeader,
  pageMagics,
  parseWalHeader,
  type SegmentExpectation,
} from '../../../src/postgres/wal-header.ts';
import { segmentName } from '../../../src/postgres/wal-name.ts';
import { realServers, someIdentifier, walHeader } from './fixtures/build.ts';

const mb = 1024 * 1024;

test.each(realServers())('a segment of a real PostgreSQL %s is read and is valid', (major, server) => {
  const header = parseWalHeader(server.header);
  expect(header).toMatchObject({ kind: 'header', major, timeline: 1, pageAddress: 0x1000000n });
  expect(header).toMatchObject({ segmentSize: 16 * mb, blockSize: 8192 });
  const identifier = Buffer.from(server.control).readBigUInt64LE(0).toString();
  const expected = { ...expectation(), systemIdentifier: identifier };
  expect(checkSegmentHeader(server.header, expected)).toEqual({ kind: 'good', header });
});

describe('the page header of release', () => {
  test.each([...pageMagics].map(([magic, major]) => [major, magic] as const))(
    '%s is read',
    (major, magic) => {
      const identifierOffset = ['8.4', '9.0', '9.1', '9.2'].includes(major) ? 16 : 24;
      for (const littleEndian of [true, false]) {
        const header = parseWalHeader(
          walHeader({ magic, identifierOffset, littleEndian, pageAddress: 0x2_3000_0000n }),
        );
        expect(header).toEqual({
          kind: 'header',
          magic,
          major,
          timeline: 1,
          pageAddress: 0x2_3000_0000n,
          systemIdentifier: someIdentifier.toString(),
          segmentSize: 16 * mb,
          blockSize: 8192,
          littleEndian,
          alignment: identifierOffset === 16 ? undefined : 8,
        });
      }
    },
  );

  test('9.3 and later on 32-bit x86 is read', () => {
    const header = parseWalHeader(walHeader({ magic: 0xd07e, identifierOffset: 20, segmentSize: 64 * mb }));
    expect(header).toMatchObject({ systemIdentifier: someIdentifier.toString(), segmentSize: 64 * mb });
  });

  test('newer than this program is read', () => {
    expect(parseWalHeader(walHeader({ magic: 0xd11b }))).toMatchObject({ kind: 'header', major: undefined });
    expect(checkSegmentHeader(walHeader({ magic: 0xd11b }), expectation())).toMatchObject({ kind: 'good' });
  });
});

describe('a page header is not found', () => {
  test.each([
    ['zeros', new Uint8Array(8192), /no WAL page: it begins with 0x0000/],
    ['too few bytes', walHeader({ magic: 0xd118 }).subarray(0, 39), /too short for a WAL page: 39 bytes/],
    ['something else', Buffer.from('recovery target timeline is not here at all'), /no WAL page/],
    ['not the first page', walHeader({ magic: 0xd118, info: 0 }), /long header/],
    ['an impossible segment size', walHeader({ magic: 0xd118, segmentSize: 16 * mb + 1 }), /impossible/],
    ['an impossible page size', walHeader({ magic: 0xd118, blockSize: 8193 }), /impossible/],
  ])('in %s', (_, bytes, reason) => {
    expect(parseWalHeader(bytes)).toMatchObject({ kind: 'no-header', reason });
    expect(checkSegmentHeader(bytes, expectation())).toMatchObject({
      kind: 'bad',
      problem: 'no-header',
      reason,
    });
  });
});

test('bytes inside a larger buffer are read at their offset', () => {
  const buffer = Buffer.concat([Buffer.alloc(3), walHeader({ magic: 0xd118 })]);
  expect(parseWalHeader(buffer.subarray(3))).toMatchObject({ kind: 'header', major: '18' });
});

describe('a segment is refused', () => {
  test('if it belongs to another cluster', () => {
    expect(check({ systemIdentifier: 1n })).toMatchObject({
      problem: 'foreign',
      reason: /cluster 1, not to 7711/,
    });
  });

  test.each([0, 8192, 16 * mb - 1, 32 * mb])('if it has %i bytes instead of 16 MB', (fileSize) => {
    expect(check({}, { fileSize })).toMatchObject({
      problem: 'truncated',
      reason: `it has ${fileSize} bytes instead of 16777216`,
    });
  });

  test('if it contains an earlier segment, as a recycled file does', () => {
    expect(check({ pageAddress: 0xe000000n })).toEqual({
      kind: 'bad',
      problem: 'wrong-place',
      reason: 'it begins at 0/E000000, but its name says 0/1000000',
    });
  });

  test('if its name is impossible for its size', () => {
    const name = segmentName(1, 0, 0x101);
    expect(check({ pageAddress: 0x1_0100_0000n }, { name })).toMatchObject({ problem: 'wrong-place' });
  });

  test('if its timeline is not an ancestor', () => {
    const name = segmentName(3, 0, 1);
    const isAncestor = (timeline: number) => timeline === 1;
    expect(check({ timeline: 2 }, { name, isAncestor })).toMatchObject({ problem: 'wrong-timeline' });
    expect(check({ timeline: 4 }, { name, isAncestor })).toMatchObject({ problem: 'wrong-timeline' });
  });
});

test('the first segment after a promotion in the middle of a segment is accepted', () => {
  const name = segmentName(3, 0, 1);
  expect(check({ timeline: 2 }, { name, isAncestor: (timeline) => [1, 2].includes(timeline) })).toMatchObject(
    { kind: 'good' },
  );
  expect(check({ timeline: 1 }, { name, isAncestor: (timeline) => [1, 2].includes(timeline) })).toMatchObject(
    { kind: 'good' },
  );
});

test('a segment of 9.2 at 1/FE000000 has the right name', () => {
  const bytes = walHeader({ magic: 0xd071, identifierOffset: 16, pageAddress: 0x1_fe00_0000n });
  expect(checkSegmentHeader(bytes, { ...expectation(), name: segmentName(1, 1, 0xfe) })).toMatchObject({
    kind: 'good',
  });
});

function check(fields: Partial<Parameters<typeof walHeader>[0]>, expected: Partial<SegmentExpectation> = {}) {
  return checkSegmentHeader(walHeader({ magic: 0xd118, ...fields }), { ...expectation(), ...expected });
}

function expectation(): SegmentExpectation {
  return {
    name: segmentName(1, 0, 1),
    systemIdentifier: someIdentifier.toString(),
    fileSize: 16 * mb,
    isAncestor: () => false,
  };
}
