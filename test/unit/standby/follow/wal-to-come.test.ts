import { describe, expect, test } from 'vitest';
import type { OwnPlace } from '../../../../src/standby/follow/lineage.ts';
import {
  commonEnd,
  describeLacking,
  lackingWal,
  replayStart,
} from '../../../../src/standby/follow/wal-to-come.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const layout = { segmentSize: 16 * 1024 * 1024, walSegmentSkipsFF: false };
const left = (timeline: number, lsn: bigint) => ({ timeline, end: { kind: 'lsn', lsn } }) as const;
const there = { timeline: 2, history: [left(1, 0x5000100n)], lsn: 0x8000010n } as const;
const own: OwnPlace = { timeline: 1, lsn: 0x6000100n, isRecordStart: false, history: undefined };
const one = (number: number) => `00000001000000000000000${number}`;
const two = (number: number) => `00000002000000000000000${number}`;

describe('the WAL that a former primary must replay', () => {
  test('begins where both histories part', () => {
    expect(commonEnd(own, there)).toBe(0x5000100n);
    expect(commonEnd({ ...own, lsn: 0x4000000n }, there)).toBe(0x4000000n);
    expect(commonEnd({ ...own, lsn: 0n, unknown: 'damage' }, there)).toBeUndefined();
    // Both were promoted to a timeline 2, this one earlier.
    const other = { ...own, timeline: 2, history: [left(1, 0x4000100n)] };
    expect(commonEnd(other, there)).toBe(0x4000100n);
    expect(commonEnd(own, { ...there, timeline: 3, history: [] })).toBeUndefined();
    const same: OwnPlace = { ...own, timeline: 2, lsn: 0x7000000n, history: there.history };
    expect(commonEnd(same, there)).toBe(0x7000000n);
  });

  test('is there if each segment up to the one that is being written has its name on the path', () => {
    const from = 0x4000100n;
    const lacking = (...names: string[]) => lackingWal(new Set(names), from, there, layout);
    expect(lacking(one(4), two(5), two(6), two(7))).toBeUndefined();
    // The old timeline's segment with the fork does not lead to the new one.
    expect(lacking(one(4), one(5), two(6), two(7))).toMatchObject({ first: two(5), last: two(5), count: 1 });
    expect(lacking(two(5), two(7))).toMatchObject({ first: one(4), last: two(6), count: 2, number: 4 });
    expect(lackingWal(new Set(), 0x8000000n, there, layout)).toBeUndefined();
    // A switch has ended segment 7, and nothing is in the next one.
    const switched = { ...there, lsn: 0x8000000n };
    expect(lackingWal(new Set([two(6)]), 0x6000000n, switched, layout)).toMatchObject({ first: two(7) });
  });

  test('begins at the restartpoint, or at the start of the base backup, if the server is started for it', () => {
    const directory = dataDirectory('15', { control: controlFile({ redoLsn: 0x3000028n }) });
    expect(replayStart(0x5000000n, directory, true)).toBe(0x3000028n);
    expect(replayStart(0x5000000n, directory, false)).toBe(0x5000000n);
    expect(replayStart(0x2000000n, directory, true)).toBe(0x2000000n);
    const copy = { ...directory, backupLabel: { startLsn: 0x1000028n } } as typeof directory;
    expect(replayStart(0x5000000n, copy, true)).toBe(0x1000028n);
  });

  test('is named if it is nowhere', () => {
    const lacking = { first: two(5), last: two(7), count: 2, number: 5 };
    expect(describeLacking({ kind: 'lacking', lacking }, 'b')).toBe(
      `WAL that it would have to replay is neither on b nor in archivedir here: 2 segments from ${two(5)} to ${two(7)}`,
    );
    expect(describeLacking({ kind: 'unknown', reason: 'x' }, 'b')).toBeUndefined();
  });
});
