import { describe, expect, test } from 'vitest';
import { releaseFor } from '../../../../../src/standby/archive/keep/bound.ts';
import type { SlotFacts } from '../../../../../src/standby/archive/keep/slot.ts';

const mebibyte = 1024 * 1024;
const segmentSize = 16 * mebibyte;
const gibibyte = 1024 * mebibyte;

/** A slot in segment 2, a restartpoint in segment `redo`. */
function facts(redo: number, changes: Partial<SlotFacts> = {}): SlotFacts {
  const restartLsn = BigInt(2 * segmentSize);
  const redoLsn = BigInt(redo * segmentSize + 40);
  return {
    isRecovering: true,
    slot: { restartLsn, heldBytes: Number(redoLsn - restartLsn) },
    redoLsn,
    segmentSize,
    maxWalSize: gibibyte,
    obstacle: undefined,
    hasSpareSlot: true,
    releasesByAdvance: true,
    cleanupCommand: undefined,
    ...changes,
  };
}

describe('what the slot gives up', () => {
  const roomy = { most: 10 * segmentSize, free: 100 * gibibyte };

  test('nothing within the limit', () => {
    expect(releaseFor(facts(11), roomy)).toBeUndefined();
    expect(releaseFor(facts(2), { ...roomy, most: 0 })?.upTo).toBe(BigInt(2 * segmentSize + 40));
  });

  test('the oldest segments beyond the limit, whole ones', () => {
    const release = releaseFor(facts(15), roomy);
    expect(release?.upTo).toBe(BigInt(6 * segmentSize));
    expect(release?.reason).toBe('it was more than 160 MB (keep_streamed_max)');
  });

  test('never more than the server itself would remove', () => {
    expect(releaseFor(facts(12), { ...roomy, most: 10 * segmentSize - 100 })?.upTo).toBe(
      BigInt(3 * segmentSize),
    );
    expect(releaseFor(facts(12), { ...roomy, most: 1 })?.upTo).toBe(BigInt(12 * segmentSize + 40));
  });

  test('everything if the file system has no room for the WAL until the next restartpoint', () => {
    const release = releaseFor(facts(5), { ...roomy, free: 2 * gibibyte - 1 });
    expect(release?.upTo).toBe(facts(5).redoLsn);
    expect(release?.reason).toBe(
      'only 2048 MB are free on the file system of pg_wal, less than twice max_wal_size (1024 MB)',
    );
  });

  test('nothing while there is room for what comes until the removal after the next look', () => {
    expect(releaseFor(facts(5), { ...roomy, free: 2 * gibibyte })).toBeUndefined();
  });

  test('nothing where it holds nothing: that would free no space', () => {
    const slot = { restartLsn: BigInt(5 * segmentSize + 40), heldBytes: 0 };
    expect(releaseFor(facts(5, { slot }), { most: 0, free: 0 })).toBeUndefined();
    expect(releaseFor(facts(5, { slot: undefined }), { most: 0, free: 0 })).toBeUndefined();
  });
});
