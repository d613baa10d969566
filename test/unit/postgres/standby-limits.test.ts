import { describe, expect, test } from 'vitest';
import { checkControlFile } from '../../../src/postgres/control-file.ts';
import { crc32c, legacyCrc32 } from '../../../src/postgres/crc32.ts';
import { demandedLimits, findLowLimits, type LimitName } from '../../../src/postgres/standby-limits.ts';
import { realServers } from './fixtures/build.ts';

describe.each(realServers())('pg_control of a real PostgreSQL %s', (major, { control }) => {
  test('shows the lowest values that a hot standby must have', () => {
    const limits = Object.fromEntries(demandedLimits(control) ?? []);
    const walSenders = Number(major) >= 12 ? { max_wal_senders: 10 } : {};
    expect(limits).toEqual({
      max_connections: 100,
      max_worker_processes: 8,
      max_prepared_transactions: 0,
      max_locks_per_transaction: 64,
      ...walSenders,
    });
  });

  test('shows nothing if it is incomplete', () => {
    const torn = Uint8Array.from(control);
    torn[100] = (torn[100] ?? 0) ^ 1;
    expect(demandedLimits(torn)).toBeUndefined();
  });
});

/** The end of the structure as older releases have it: an alignment of 8 and the constant stand behind the settings. */
function oldControlFile(format: number, catalog: number, fields: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(8192);
  bytes.writeUInt32LE(format, 8);
  bytes.writeUInt32LE(catalog, 12);
  fields.forEach((value, index) => bytes.writeUInt32LE(value, 160 + 4 * index));
  let at = 160 + 4 * fields.length;
  bytes.writeUInt32LE(8, at);
  at = Math.ceil((at + 4) / 8) * 8;
  bytes.writeDoubleLE(1_234_567, at);
  const end = at + 40;
  bytes.writeUInt32LE(
    format < 942 ? legacyCrc32(bytes.subarray(0, end)) : crc32c(bytes.subarray(0, end)),
    end,
  );
  return bytes;
}

test.each([
  ['9.0', 903, 201008051, [2, 100, 5, 64], [100, 5, 64]],
  ['9.3', 937, 201306121, [2, 100, 5, 64], [100, 5, 64]],
  ['9.4', 942, 201409291, [2, 0, 100, 8, 5, 64], [100, 8, 5, 64]],
  ['9.5', 942, 201510051, [2, 0, 100, 8, 5, 64, 1], [100, 8, 5, 64]],
  ['9.6', 960, 201608131, [2, 0, 100, 8, 5, 64, 0], [100, 8, 5, 64]],
] as const)(
  'the limits in pg_control of %s, which has no fixture, are read by its structure',
  (_, format, catalog, fields, values) => {
    const bytes = oldControlFile(format, catalog, fields);
    expect(checkControlFile(bytes).kind).toBe('good');
    expect([...(demandedLimits(bytes) ?? []).values()]).toEqual(values);
  },
);

test('8.4 has no limits, and an unknown format is not guessed', () => {
  expect(demandedLimits(oldControlFile(843, 200904091, [100, 5, 64]))).toBeUndefined();
  expect(demandedLimits(oldControlFile(2400, 202901011, [1, 0, 100, 8, 10, 5, 64, 0]))).toBeUndefined();
});

test('only settings that are lower here are named, and no setting that is unknown here', () => {
  const demanded = new Map<LimitName, number>([
    ['max_connections', 60],
    ['max_wal_senders', 10],
    ['max_locks_per_transaction', 64],
  ]);
  const here = new Map<LimitName, number>([
    ['max_connections', 40],
    ['max_wal_senders', 10],
  ]);
  expect(findLowLimits(demanded, here)).toEqual([{ name: 'max_connections', here: 40, demanded: 60 }]);
});
