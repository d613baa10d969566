import { expect, test } from 'vitest';
import { firstLacking } from '../../../../src/standby/status/archive.ts';
import { silenceOf } from '../../../../src/standby/status/server.ts';

const mebibyte = 1024 * 1024;
const layout = { segmentSize: 16 * mebibyte, walSegmentSkipsFF: false };
const startOf = (number: number): bigint => BigInt(number) * BigInt(layout.segmentSize);
const later = new Set([7, 8, 9]);

test('WAL behind a gap at the beginning of the archive does not count as what a failover would replay', () => {
  const lacking = (from: number, replayed: bigint | undefined, held: ReadonlySet<number> = later) =>
    firstLacking(held, Math.min(...later), { from, replayed, layout });
  // A cold standby begins at the start of its backup, and stops where the first segment is missing.
  expect(lacking(3, undefined)).toBe(3);
  expect(lacking(3, startOf(5))).toBe(3);
  // That the server has streamed what is missing is shown by its replay, or pg_wal has it.
  expect(lacking(3, startOf(7))).toBe(10);
  expect(lacking(3, undefined, new Set([3, 4, 5, 6, ...later]))).toBe(10);
  expect(lacking(3, undefined, new Set([3, 4, ...later]))).toBe(5);
  expect(lacking(7, undefined)).toBe(10);
});

test("nothing shows how long the stream is silent after this host's clock was set back", () => {
  expect(silenceOf(2.5)).toBe(2.5);
  expect(silenceOf(0)).toBe(0);
  expect(silenceOf(-3600)).toBeUndefined();
  expect(silenceOf(null)).toBeUndefined();
});
