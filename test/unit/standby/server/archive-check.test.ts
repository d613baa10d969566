import { describe, expect, test } from 'vitest';
import { parseWalName, type SegmentName } from '../../../../src/postgres/wal-name.ts';
import { findReplayProblems, type ReplayFacts } from '../../../../src/standby/server/archive-check.ts';

const segmentSize = 16 * 1024 * 1024;
const layout = { segmentSize, walSegmentSkipsFF: false };

function segment(number: number, timeline = 1): SegmentName {
  const name = parseWalName(
    `0000000${timeline}00000000${number.toString(16).toUpperCase().padStart(8, '0')}`,
  );
  if (name.kind !== 'segment') throw new Error(name.name);
  return name;
}

function facts(numbers: readonly number[], changes: Partial<ReplayFacts> = {}): ReplayFacts {
  const segments = numbers.map((number) => ({ name: segment(number), size: segmentSize }));
  return { segments, from: segment(5), inPgWal: new Set(), layout, ...changes };
}

describe('what a promotion could not replay', () => {
  test('nothing, when all segments are there and whole', () => {
    expect(findReplayProblems(facts([3, 4, 5, 6, 7]))).toEqual([]);
    expect(findReplayProblems(facts([3, 4]))).toEqual([]);
    expect(findReplayProblems(facts([]))).toEqual([]);
  });

  test('what lies behind a missing segment', () => {
    expect(findReplayProblems(facts([5, 7, 9]))).toEqual([
      'segment 000000010000000000000006 is missing',
      'segment 000000010000000000000008 is missing',
    ]);
    expect(findReplayProblems(facts([6]))).toEqual(['segment 000000010000000000000005 is missing']);
  });

  test('a gap before the next segment to replay, or one that pg_wal fills, is none', () => {
    expect(findReplayProblems(facts([1, 3, 5, 6]))).toEqual([]);
    const inPgWal = new Set([segment(6).name, 'archive_status']);
    expect(findReplayProblems(facts([5, 7], { inPgWal }))).toEqual([]);
  });

  test('a segment of a later timeline stands for its place', () => {
    const segments = [5, 7].map((number) => ({ name: segment(number), size: segmentSize }));
    segments.push({ name: segment(6, 2), size: segmentSize });
    expect(findReplayProblems(facts([], { segments }))).toEqual([]);
  });

  test('a short or unreadable segment, and what lies behind it', () => {
    const segments = [
      { name: segment(4), size: 1 },
      { name: segment(5), size: segmentSize },
      { name: segment(6), size: 4096 },
      { name: segment(7), size: undefined },
    ];
    expect(findReplayProblems(facts([], { segments }))).toEqual([
      'segment 000000010000000000000006 has 4096 bytes instead of 16777216',
      'segment 000000010000000000000007 cannot be read',
    ]);
  });
});
