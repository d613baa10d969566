import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { segmentContaining } from '../../../../src/postgres/lsn.ts';
import { checkRecords } from '../../../../src/standby/archive/read-records.ts';
import { block, buildWal, type Release, segmentSize } from '../../postgres/fixtures/build-wal.ts';

const release: Release = { magic: 0xd118, era: '9.5', alignment: 8, littleEndian: true };
const first = 0x2_0030_0000;
const pages = segmentSize / block;
const lengths = [40, 100, 5000, 20_000, 64, 8000];

describe('the end of the WAL in pg_wal', () => {
  let directory = '';

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'records-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** Each of these is the content of the next segment. */
  function check(contents: readonly Uint8Array[]) {
    const segments = contents.map((bytes, index) => {
      const lsn = BigInt(first + index * segmentSize);
      const name = segmentContaining(1, lsn, { segmentSize, walSegmentSkipsFF: false });
      const path = join(directory, name.text);
      writeFileSync(path, bytes);
      return { name, path };
    });
    return checkRecords(segments, BigInt(first) + 40n, new AbortController().signal);
  }

  const wal = buildWal(release, first, pages, lengths);
  /** A segment that waits for reuse has the pages of an older one. */
  const used = buildWal(release, first - 64 * segmentSize, pages, lengths).bytes;
  const written = (index: number) =>
    buildWal(release, first + index * segmentSize, pages, lengths, first + index * segmentSize - 8).bytes;
  const end = BigInt(wal.end);

  test('is found before segments that wait for reuse', async () => {
    expect(await check([wal.bytes, used, used, used])).toEqual({ kind: 'read', end, damage: undefined });
  });

  test.each([1, 2, 3])('is damage if the segment that is %i behind was written', async (index) => {
    const contents = [wal.bytes, used, used, used];
    contents[index] = written(index);
    expect(await check(contents)).toMatchObject({ end, damage: { at: end } });
  });

  test('is damage if any page of the next segment was written', async () => {
    const next = used.slice();
    next.set(written(1).subarray(block, 2 * block), block);
    expect(await check([wal.bytes, next])).toMatchObject({ end, damage: { at: end } });
  });
});
