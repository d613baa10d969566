import { describe, expect, test } from 'vitest';
import { type CatchUp, endPass } from '../../src/archiver/lane/catch-up.ts';
import { append, largestOf, smallestOf } from '../../src/lists.ts';
import { parseHistory } from '../../src/postgres/history.ts';
import { nameOf } from '../../src/postgres/lsn.ts';
import { presentTimeline } from '../../src/standby/archive/keep/archived-chain.ts';
import { findReplayProblems, pathOf } from '../../src/standby/archive/replay-check.ts';

const layout = { segmentSize: 1024 * 1024, walSegmentSkipsFF: false };
const many = 200_000;
const segments = (timeline: number) =>
  Array.from({ length: many }, (_, at) => nameOf(timeline, at + 1, layout));

describe('a list that is longer than the arguments of a call may be', () => {
  test('has a largest and a smallest number, and can be put behind another', () => {
    const numbers = Array.from({ length: many }, (_, at) => at);
    expect([largestOf(numbers), smallestOf(numbers)]).toEqual([many - 1, 0]);
    expect([largestOf([]), smallestOf([])]).toEqual([-Infinity, Infinity]);
    const list = [7];
    append(list, numbers);
    expect(list).toHaveLength(many + 1);
  });

  test('can be the WAL that a promotion replays', () => {
    const names = segments(1);
    const facts = {
      segments: names.filter((_, at) => at !== 5).map((name) => ({ name, fault: undefined })),
      from: nameOf(1, 1, layout),
      path: pathOf(1, new Map(), layout),
      inPgWal: [],
      layout,
    };
    expect(findReplayProblems(facts)).toEqual(['segment 000000010000000000000006 is missing']);
  });

  test('can be the WAL in pg_wal', () => {
    const histories = new Map([[2, parseHistory('1\t0/6000100\tx\n', 'x')]]);
    expect(presentTimeline([1], segments(2), histories)).toBe(2);
  });

  test('can be the WAL that a standby lacks', () => {
    const missing = segments(1);
    const missedBefore = new Set(missing.map(({ text }) => text));
    const run = { missing, missedBefore, sent: 0, coming: 0, gap: [], incompleteFrom: undefined };
    expect(endPass(run as unknown as CatchUp)).toEqual({ kind: 'caught-up' });
  });
});
