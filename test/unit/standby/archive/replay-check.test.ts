import { describe, expect, test } from 'vitest';
import { parseHistory } from '../../../../src/postgres/history.ts';
import { parseWalName, type SegmentName } from '../../../../src/postgres/wal-name.ts';
import {
  findArchivedEnd,
  findReplayProblems,
  pathOf,
  type ReplayFacts,
} from '../../../../src/standby/archive/replay-check.ts';

const segmentSize = 16 * 1024 * 1024;
const layout = { segmentSize, walSegmentSkipsFF: false };

function segment(number: number, timeline = 1): SegmentName {
  const name = parseWalName(
    `0000000${timeline}00000000${number.toString(16).toUpperCase().padStart(8, '0')}`,
  );
  if (name.kind !== 'segment') throw new Error(name.text);
  return name;
}

function historiesOf(texts: Readonly<Record<number, string>>) {
  return new Map(
    Object.entries(texts).map(([timeline, text]) => [Number(timeline), parseHistory(text, 'x')] as const),
  );
}

function facts(numbers: readonly number[], changes: Partial<ReplayFacts> = {}): ReplayFacts {
  const segments = numbers.map((number) => ({ name: segment(number), fault: undefined }));
  return { segments, from: segment(5), path: pathOf(1, new Map(), layout), inPgWal: [], layout, ...changes };
}

describe('WAL that a promotion could not replay', () => {
  test('does not exist if all segments are complete', () => {
    expect(findReplayProblems(facts([3, 4, 5, 6, 7]))).toEqual([]);
    expect(findReplayProblems(facts([3, 4]))).toEqual([]);
    expect(findReplayProblems(facts([]))).toEqual([]);
  });

  test('includes everything after a missing segment', () => {
    expect(findReplayProblems(facts([5, 7, 9]))).toEqual([
      'segment 000000010000000000000006 is missing',
      'segment 000000010000000000000008 is missing',
    ]);
    expect(findReplayProblems(facts([6]))).toEqual(['segment 000000010000000000000005 is missing']);
  });

  test('does not exist for a gap before the next segment to replay, or for one that pg_wal fills', () => {
    expect(findReplayProblems(facts([1, 3, 5, 6]))).toEqual([]);
    expect(findReplayProblems(facts([5, 7], { inPgWal: [segment(6)] }))).toEqual([]);
  });

  test('does not exist if a segment of a later timeline takes its place', () => {
    const segments = [5, 7].map((number) => ({ name: segment(number), fault: undefined }));
    segments.push({ name: segment(6, 2), fault: undefined });
    const path = pathOf(1, historiesOf({ 2: '1\t0/6000100\tx\n' }), layout);
    expect(findReplayProblems(facts([], { segments, path }))).toEqual([]);
    segments.push({ name: segment(8, 2), fault: undefined });
    expect(findReplayProblems(facts([], { segments, path }))).toEqual([
      'segment 000000020000000000000007 is missing',
    ]);
    segments.push({ name: segment(7, 2), fault: undefined });
    expect(findReplayProblems(facts([], { segments, path }))).toEqual([]);
  });

  test('is not affected by the segments of an abandoned timeline, which neither fill a gap nor make one', () => {
    const path = pathOf(2, historiesOf({ 2: '1\t0/6000100\tx\n' }), layout);
    const from = segment(6, 2);
    const own = [6, 7].map((number) => ({ name: segment(number, 2), fault: undefined }));
    const leftovers = [8, 30, 31].map((number) => ({ name: segment(number), fault: 'short' }));
    expect(findReplayProblems(facts([], { segments: [...own, ...leftovers], path, from }))).toEqual([]);
    const later = [...own, { name: segment(9, 2), fault: undefined }, ...leftovers];
    expect(findReplayProblems(facts([], { segments: later, path, from, inPgWal: [segment(8)] }))).toEqual([
      'segment 000000020000000000000008 is missing',
    ]);
  });

  test('is determined along the path to the newest timeline that branched off the own one', () => {
    const timelines = (own: number, texts: Record<number, string>) =>
      pathOf(own, historiesOf(texts), layout).map(({ timeline }) => timeline);
    const second = '1\t0/6000100\tx\n';
    expect(timelines(1, { 2: second, 3: `${second}2\t0/8000100\tx\n` })).toEqual([1, 2, 3]);
    expect(timelines(2, { 2: second, 3: '1\t0/6000100\tx\n' })).toEqual([1, 2]);
    expect(timelines(1, { 3: second })).toEqual([1]);
  });

  test('includes a segment that cannot be replayed, and everything after it', () => {
    const segments = [
      { name: segment(4), fault: 'it has 1 bytes' },
      { name: segment(5), fault: undefined },
      { name: segment(6), fault: 'it has 4096 bytes instead of 16777216' },
      { name: segment(7), fault: 'no WAL page' },
    ];
    expect(findReplayProblems(facts([], { segments }))).toEqual([
      'segment 000000010000000000000006 cannot be replayed: it has 4096 bytes instead of 16777216',
      'segment 000000010000000000000007 cannot be replayed: no WAL page',
    ]);
  });
});

describe('the last segment that a promotion must have replayed', () => {
  const lastOf = (input: ReplayFacts) => findArchivedEnd(input)?.last.text;

  test('is the last archived one of the path, and none if all segments were replayed', () => {
    expect(findArchivedEnd(facts([3, 7, 5, 6]))).toEqual({ last: segment(7), segmentSize });
    expect(lastOf(facts([3, 4]))).toBeUndefined();
    expect(lastOf(facts([5, 6], { inPgWal: [segment(7)] }))).toBe(segment(6).text);
  });

  test('is on the newest timeline, never on an abandoned one', () => {
    const path = pathOf(1, historiesOf({ 2: '1\t0/6000100\tx\n' }), layout);
    const both = [5, 6, 7].map((number) => ({ name: segment(number), fault: undefined }));
    expect(lastOf(facts([], { segments: both, path }))).toBe(segment(6).text);
    both.push({ name: segment(6, 2), fault: undefined });
    expect(lastOf(facts([], { segments: both, path }))).toBe(segment(6, 2).text);
  });

  test('is not the one at whose first byte the timeline was left, because none of it is on the path', () => {
    const path = pathOf(1, historiesOf({ 2: '1\t0/6000000\tx\n' }), layout);
    expect(lastOf(facts([5, 6], { path }))).toBe(segment(5).text);
  });
});
