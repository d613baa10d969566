import { describe, expect, test } from 'vitest';
import { walFormat } from '../../../src/postgres/wal-format.ts';
import { pageMagics } from '../../../src/postgres/wal-header.ts';
import { createWalReader, type WalReading } from '../../../src/postgres/wal-records.ts';
import { block, buildWal, type BuiltWal, type Release, segmentSize } from './fixtures/build-wal.ts';

function eraOf(magic: number): Release['era'] {
  if (magic < 0xd075) return '8.4';
  return magic < 0xd087 ? '9.3' : '9.5';
}

const releases: [string, Release][] = [...pageMagics].flatMap(([magic, major]) =>
  ([8, 4] as const).flatMap((alignment) =>
    [true, false].map((littleEndian): [string, Release] => [
      `${major}, aligned to ${alignment}, ${littleEndian ? 'little' : 'big'}-endian`,
      { magic, era: eraOf(magic), alignment, littleEndian },
    ]),
  ),
);
const newest: Release = { magic: 0xd118, era: '9.5', alignment: 8, littleEndian: true };
const first = 0x2_0030_0000;

function read(release: Release, bytes: Uint8Array, from: number, at = first): WalReading {
  const format = walFormat({ ...release, blockSize: block, segmentSize });
  if (format === undefined) throw new Error('unknown');
  const reader = createWalReader(format, from);
  const begin = from - at - ((from - at) % block);
  for (let offset = begin; offset < bytes.length; offset += block)
    reader.takePage(bytes, offset, at + offset);
  return reader.result();
}

function startOf(wal: BuiltWal, index = 0): number {
  const record = wal.records[index];
  if (record === undefined) throw new Error(`no record ${index}`);
  return record.start;
}

/** Short, long, longer than two pages, and such that the header itself is cut by the end of a page. */
const lengths = [40, 100, 33, 5000, 3000, 57, 20_000, 64, 8000, 8150, 8160, 8100, 90, 31_000, 41];

describe.each(releases)('the WAL of %s', (_, release) => {
  const wal = buildWal(release, first, 20, lengths);

  test('is read to the end of its last record, from any record', () => {
    for (const { start } of wal.records)
      expect(read(release, wal.bytes, start)).toEqual({ end: wal.end, damage: undefined });
  });

  test('is damaged wherever a record has a wrong byte', () => {
    for (const { start, length } of wal.records.slice(0, -1)) {
      const bytes = wal.bytes.slice();
      // Not beyond the page: there may be the header of another one.
      const at = start - first + Math.min(length, block - (start % block)) - 1;
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      expect(read(release, bytes, startOf(wal)).damage?.at).toBe(start);
    }
  });

  test('can be read from a page inside a record on, and shows each whole record', () => {
    const format = walFormat({ ...release, blockSize: block, segmentSize });
    if (format === undefined) throw new Error('unknown');
    for (let page = 0; page < 5; page++) {
      const from = first + page * block;
      const seen: number[] = [];
      const reader = createWalReader(format, from, {
        mayBeInside: true,
        onRecord: ({ rmgr, content }) => {
          expect(rmgr).toBe(10);
          seen.push(content.byteLength + format.recordHeader);
        },
      });
      for (let offset = page * block; offset < wal.bytes.length; offset += block)
        reader.takePage(wal.bytes, offset, first + offset);
      const behind = wal.records.filter(({ start }) => start >= from);
      expect(seen).toEqual(behind.map(({ length }) => Math.min(length, format.recordHeader + 64)));
      expect(reader.result()).toEqual({ end: wal.end, damage: undefined });
    }
  });

  test('ends before an incomplete record', () => {
    const last = wal.records.at(-1);
    const bytes = wal.bytes.slice();
    bytes.fill(0, (last?.start ?? 0) - first + 30);
    expect(read(release, bytes, startOf(wal))).toEqual({ end: last?.start, damage: undefined });
  });

  test('continues in the next segment after a switch', () => {
    const switched = buildWal(release, first, 130, [50, 9000, 0, 60, 70]);
    expect(startOf(switched, 3)).toBeGreaterThan(first + segmentSize);
    expect(read(release, switched.bytes, startOf(switched))).toEqual({
      end: switched.end,
      damage: undefined,
    });
    const bytes = switched.bytes.slice();
    // Old pages, as a segment has them that was used before.
    bytes.copyWithin(50 * block, 0, 3 * block);
    expect(read(release, bytes, startOf(switched))).toEqual({ end: switched.end, damage: undefined });
  });
});

describe('the WAL ends without damage', () => {
  const wal = buildWal(newest, first, 12, [...lengths.slice(0, 7), 30_000]);
  const last = startOf(wal, 7);

  test.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["where the last record's rest is missing", (bytes) => bytes.subarray(0, last - first + block)],
    ['where its rest is empty', (bytes) => bytes.fill(0, last - first + block - (last % block))],
    [
      'where its rest is on a page of another place',
      (bytes) =>
        bytes
          .copyWithin(last - first + block - (last % block), 0, 2 * block)
          .fill(0, last - first + 3 * block - (last % block)),
    ],
    ['where the page is empty from within the record on', (bytes) => bytes.fill(0, wal.end - first - 3000)],
  ])('%s', (_, change) => {
    const bytes = wal.bytes.slice();
    // The pages behind the cut that are still good would be damage.
    const changed = change(bytes);
    expect(read(newest, changed, startOf(wal))).toEqual({ end: last, damage: undefined });
  });

  test('where nothing was ever written', () => {
    expect(read(newest, new Uint8Array(4 * block), first)).toEqual({ end: first, damage: undefined });
  });

  test('where a record is still missing in the page, although a later one has arrived', () => {
    const short = buildWal(newest, first, 1, [100, 100, 100]);
    short.bytes.fill(0, startOf(short, 1) - first, startOf(short, 2) - first);
    expect(read(newest, short.bytes, startOf(short))).toEqual({ end: startOf(short, 1), damage: undefined });
  });
});

describe('the WAL is damaged', () => {
  const wal = buildWal(newest, first, 20, lengths);
  const reasons: [string, number, (bytes: Uint8Array) => unknown, RegExp][] = [
    ['where a page is empty', 6, (bytes) => bytes.fill(0, 2 * block, 3 * block), /page is empty/],
    [
      'where a page is something else',
      6,
      (bytes) => bytes.fill(0x5a, 2 * block, 3 * block),
      /no page of WAL/,
    ],
    [
      'where a page is of another place',
      6,
      (bytes) => bytes.copyWithin(2 * block, 3 * block, 4 * block),
      /another place/,
    ],
    [
      'where a record is missing',
      2,
      (bytes) => bytes.fill(0, startOf(wal, 2) - first, startOf(wal, 3) - first),
      /no record/,
    ],
    [
      'where a record says that it is shorter than its header',
      1,
      (bytes) => bytes.fill(3, startOf(wal, 1) - first, startOf(wal, 1) - first + 1),
      /a record of 3 bytes/,
    ],
    [
      'where a record does not follow the one before',
      1,
      (bytes) => bytes.fill(0xff, startOf(wal, 1) - first + 8, startOf(wal, 1) - first + 10),
      /does not follow/,
    ],
  ];
  test.each(reasons)('%s, and valid WAL follows', (_, record, change, reason) => {
    const bytes = wal.bytes.slice();
    change(bytes);
    const { damage } = read(newest, bytes, startOf(wal));
    expect(damage?.reason).toMatch(reason);
    expect(damage?.at).toBe(startOf(wal, record));
  });

  test('where its very last record is complete and has a wrong checksum', () => {
    const bytes = wal.bytes.slice();
    const at = startOf(wal, lengths.length - 1) - first + 30;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    expect(read(newest, bytes, startOf(wal)).damage?.reason).toMatch(/wrong checksum/);
  });

  test('where a record is not continued on the next page, which is valid', () => {
    const bytes = wal.bytes.slice();
    const page = Math.ceil((startOf(wal, 6) - first) / block) * block;
    bytes[page + 2] = 0;
    expect(read(newest, bytes, startOf(wal)).damage).toMatchObject({
      at: startOf(wal, 6),
      reason: /does not continue/,
    });
  });
});

test('a record that was never completed is skipped if the server marks it so', () => {
  const cut = buildWal(newest, first, 2, [8000, 3000]);
  const behind = buildWal(newest, first + block, 1, [40, 50], startOf(cut));
  const bytes = cut.bytes.slice();
  bytes.set(behind.bytes, block);
  expect(read(newest, bytes, startOf(cut)).damage).toMatchObject({ at: startOf(cut, 1) });
  new DataView(bytes.buffer).setUint16(block + 2, 8, true);
  expect(read(newest, bytes, startOf(cut))).toEqual({ end: behind.end, damage: undefined });
});

test('the WAL of an unknown release has no known format', () => {
  expect(walFormat({ ...newest, magic: 0xd1ff, blockSize: block, segmentSize })).toBeUndefined();
});
