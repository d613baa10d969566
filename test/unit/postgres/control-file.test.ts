import { describe, expect, test } from 'vitest';
import { checkControlFile, pageLayoutOf, systemIdentifierOf } from '../../../src/postgres/control-file.ts';
import { crc32c, legacyCrc32 } from '../../../src/postgres/crc32.ts';
import { demandedLimits } from '../../../src/postgres/standby-limits.ts';
import { controlFile, controlFileOf19, realServers, someIdentifier } from './fixtures/build.ts';

describe('the checksums of pg_control', () => {
  test('by CRC-32C agree with the published check value', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array())).toBe(0);
  });

  test("by the old CRC agree with PostgreSQL's description, bit by bit", () => {
    const bytes = Buffer.from('123456789');
    expect(legacyCrc32(bytes)).toBe(bitwiseLegacy(bytes));
    expect(legacyCrc32(bytes)).not.toBe(0xcbf43926);
  });
});

/** Entries of the right-shifting table, one bit at a time, applied to a register that shifts left. */
function bitwiseLegacy(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    let entry = ((crc >> 24n) ^ BigInt(byte)) & 0xffn;
    for (let bit = 0; bit < 8; bit++) entry = (entry >> 1n) ^ ((entry & 1n) * 0xedb88320n);
    crc = entry ^ ((crc << 8n) & 0xffffffffn);
  }
  return Number(crc ^ 0xffffffffn);
}

describe.each(realServers())('pg_control of a real PostgreSQL %s', (major, { control, header }) => {
  test('shows how relations are divided into pages and files, and whether pages have checksums', () => {
    // initdb got no option; only 18 makes checksums then.
    const hasChecksums = Number(major) >= 18;
    expect(pageLayoutOf(control)).toEqual({ blockSize: 8192, segmentBlocks: 131_072, hasChecksums });
    const torn = Uint8Array.from(control);
    torn[100] = (torn[100] ?? 0) ^ 1;
    expect(pageLayoutOf(torn)).toBeUndefined();
  });

  test('is valid', () => {
    const check = checkControlFile(control);
    expect(check).toMatchObject({ kind: 'good', control: { state: 'shut-down', timeline: 1 } });
    if (check.kind === 'bad') throw new Error(check.reason);
    // A fresh cluster was shut down: its last checkpoint is where recovery would start.
    expect(check.control.redoLsn).toBe(check.control.checkpointLsn);
    expect(check.control.redoLsn).toBeGreaterThan(0x1000000n);
    expect(check.control.redoLsn).toBeLessThan(0x2000000n);
    expect(check.control.systemIdentifier).toBe(Buffer.from(header).readBigUInt64LE(24).toString());
    expect(check.control.walSegmentSize).toBe(16 * 1024 * 1024);
    // The identifier's high half is the second in which initdb ran.
    expect(check.control.time - (BigInt(check.control.systemIdentifier) >> 32n)).toBeLessThan(60n);
  });

  test('shows how far a recovery has come', () => {
    const check = checkControlFile(control);
    const progress = check.kind === 'good' ? check.control.progress : undefined;
    const written = check.kind === 'good' ? check.control.time : 0n;
    // initdb has just run: no recovery yet, transactions from 3 on, and a checkpoint a moment ago.
    expect(progress?.minRecoveryLsn).toBe(0n);
    expect(progress?.endedBeforeXid).toBeGreaterThan(3);
    expect(progress?.endedBeforeXid).toBeLessThan(10_000);
    expect(written - (progress?.checkpointTime ?? 0n)).toBeLessThan(60n);
  });

  test.each([0, 9, 17, 40, 100, 200])('is invalid if one bit of byte %i is changed', (place) => {
    const damaged = Uint8Array.from(control);
    damaged[place] = (damaged[place] ?? 0) ^ 0x10;
    expect(checkControlFile(damaged)).toMatchObject({ kind: 'bad' });
  });
});

const old = { redo: 0x1_2635_b428n, timeline: 9, littleEndian: true };

describe('pg_control of releases that cannot be installed here', () => {
  test.each([
    [
      '8.4',
      { ...old, controlVersion: 843, catalogVersion: 200904091, state: 4, checksum: 'legacy' },
      'in-archive-recovery',
    ],
    [
      '9.0',
      { ...old, controlVersion: 903, catalogVersion: 201008051, state: 5, checksum: 'legacy' },
      'in-archive-recovery',
    ],
    [
      '9.1',
      { ...old, controlVersion: 903, catalogVersion: 201105231, state: 5, checksum: 'legacy' },
      'in-archive-recovery',
    ],
    [
      '9.2',
      { ...old, controlVersion: 922, catalogVersion: 201204301, state: 2, checksum: 'legacy' },
      'shut-down-in-recovery',
    ],
    [
      '9.3',
      { ...old, controlVersion: 937, catalogVersion: 201306121, state: 6, checksum: 'legacy' },
      'in-production',
    ],
    [
      '9.4',
      { ...old, controlVersion: 942, catalogVersion: 201409291, state: 1, checksum: 'legacy' },
      'shut-down',
    ],
    [
      '9.5',
      { ...old, controlVersion: 942, catalogVersion: 201510051, state: 1, checksum: 'crc32c' },
      'shut-down',
    ],
    [
      '9.6',
      { ...old, controlVersion: 960, catalogVersion: 201608131, state: 99, checksum: 'crc32c' },
      'unknown',
    ],
  ] as const)('of %s is read', (_, fields, state) => {
    for (const machine of [{}, { is32Bit: true }, { littleEndian: false }]) {
      expect(checkControlFile(controlFile({ ...fields, ...machine }))).toMatchObject({
        kind: 'good',
        control: {
          state,
          timeline: 9,
          redoLsn: old.redo,
          checkpointLsn: old.redo + 56n,
          time: 1_350_000_000n,
          systemIdentifier: someIdentifier.toString(),
        },
      });
    }
  });
});

describe('the progress of a recovery', () => {
  const progressAt = { redo: 0x5000028n, timeline: 1, catalogVersion: 202604011, state: 5 } as const;

  test.each([
    [1300, 24, 64, 80, 96],
    [1700, 24, 64, 80, 96],
    [1800, 24, 64, 80, 96],
    [1902, 32, 72, 88, 104],
    [1905, 32, 72, 88, 104],
  ])('is at the offset of format %i', (controlVersion, nextXid, time, oldestActiveXid, minRecoveryLsn) => {
    for (const littleEndian of [true, false]) {
      const bytes = controlFile({ ...progressAt, controlVersion, littleEndian, checksum: 'crc32c' });
      const view = new DataView(bytes.buffer);
      const redo = 40;
      view.setBigUint64(redo + nextXid, (5n << 32n) + 777n, littleEndian);
      view.setBigInt64(redo + time, 1_700_000_000n, littleEndian);
      view.setBigUint64(redo + minRecoveryLsn, 0x7000000n, littleEndian);
      view.setUint32(redo + minRecoveryLsn + 8, 3, littleEndian);
      const progress = () => {
        view.setUint32(240, crc32c(bytes.subarray(0, 240)), littleEndian);
        const check = checkControlFile(bytes);
        return check.kind === 'good' ? check.control.progress : check.reason;
      };
      const expected = { checkpointTime: 1_700_000_000n, minRecoveryLsn: 0x7000000n, minRecoveryTimeline: 3 };
      expect(progress()).toEqual({ ...expected, endedBeforeXid: 777 });
      view.setUint32(redo + oldestActiveXid, 700, littleEndian);
      expect(progress()).toEqual({ ...expected, endedBeforeXid: 700 });
    }
  });

  test.each([901, 1901, 1906, 2000])('is not guessed for the unknown format %i', (controlVersion) => {
    const bytes = controlFile({ ...progressAt, controlVersion, checksum: 'crc32c' });
    expect(checkControlFile(bytes)).toEqual({
      kind: 'bad',
      reason: `pg_control is of version ${controlVersion}, which this release of pitrtools does not know`,
    });
  });
});

describe('pg_control of 19', () => {
  test('shows the size of a segment behind a size that no other release has, and the limits before it', () => {
    const bytes = controlFileOf19({ segmentSize: 64 * 1024 * 1024 });
    expect(checkControlFile(bytes)).toMatchObject({
      kind: 'good',
      control: { walSegmentSize: 64 * 1024 * 1024, state: 'in-production', timeline: 3 },
    });
    expect(pageLayoutOf(bytes)).toEqual({ blockSize: 8192, segmentBlocks: 131_072, hasChecksums: true });
    expect(Object.fromEntries(demandedLimits(bytes) ?? [])).toEqual({
      max_connections: 100,
      max_worker_processes: 8,
      max_wal_senders: 10,
      max_prepared_transactions: 2,
      max_locks_per_transaction: 128,
    });
  });

  test('whose sizes are elsewhere shows none', () => {
    const bytes = controlFileOf19({ segmentSize: 8192 });
    const check = checkControlFile(bytes);
    expect(check.kind === 'good' && check.control.walSegmentSize).toBeUndefined();
  });

  test.each([
    ['off', 0, false],
    ['on', 1, true],
    ['being turned off', 2, false],
    ['being turned on', 3, false],
  ])('has checksums in all pages only if they are on: %s', (_, checksumVersion, hasChecksums) => {
    expect(pageLayoutOf(controlFileOf19({ checksumVersion }))).toMatchObject({ hasChecksums });
  });
});

describe('pg_control is invalid', () => {
  const good = controlFile({
    ...old,
    controlVersion: 1300,
    catalogVersion: 202209061,
    state: 6,
    checksum: 'crc32c',
  });

  test.each([0, 512, 8191, 8193])('if it has %i bytes', (length) => {
    const bytes = new Uint8Array(length);
    bytes.set(good.subarray(0, length));
    expect(checkControlFile(bytes)).toEqual({
      kind: 'bad',
      reason: `pg_control has ${length} bytes instead of 8192`,
    });
  });

  test('if it contains only zeros', () => {
    expect(checkControlFile(new Uint8Array(8192))).toEqual({
      kind: 'bad',
      reason: 'pg_control has the unknown format 0',
    });
  });

  test('if its first sector is older than its other fields', () => {
    const torn = Uint8Array.from(good);
    torn.fill(0, 128, 512);
    expect(checkControlFile(torn)).toMatchObject({ kind: 'bad', reason: /checksum/ });
  });
});

test('the system identifier alone is read from the first bytes', () => {
  const good = controlFile({
    ...old,
    controlVersion: 843,
    catalogVersion: 200904091,
    state: 1,
    checksum: 'legacy',
  });
  expect(systemIdentifierOf(good.subarray(0, 12))).toBe(someIdentifier.toString());
  expect(systemIdentifierOf(good.subarray(0, 11))).toBeUndefined();
  expect(systemIdentifierOf(new Uint8Array(8192))).toBeUndefined();
});
