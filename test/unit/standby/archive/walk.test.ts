import { describe, expect, test } from 'vitest';
import { latestTimeline, pathTo } from '../../../../src/postgres/timelines.ts';
import { walk } from '../../../../src/standby/archive/walk.ts';
import { contents, found, layout, twoPromotions } from './contents-kit.ts';

describe('the path to a timeline', () => {
  const { histories } = contents([], twoPromotions);

  test('leads through its ancestors, each up to the segment of its branch', () => {
    expect(pathTo(3, histories, layout)).toMatchObject([
      { timeline: 1, firstNumber: 0, lastNumber: 6, endLsn: 0x600_0100n },
      { timeline: 2, firstNumber: 6, lastNumber: 8, endLsn: 0x800_0100n },
      { timeline: 3, firstNumber: 8, endLsn: undefined },
    ]);
    expect(pathTo(1, histories, layout)).toMatchObject([{ timeline: 1, firstNumber: 0 }]);
  });

  test('follows history files of 9.2 and earlier, which name the segment of the branch', () => {
    const old = contents([], { 2: '1\t000000010000000000000006\tx\n' }).histories;
    expect(pathTo(2, old, layout)[0]).toMatchObject({ lastNumber: 6, endLsn: undefined });
  });

  test('leads to the last one of an unbroken sequence of timelines, as in the server', () => {
    expect(latestTimeline(1, histories)).toBe(3);
    expect(latestTimeline(1, contents([], { 3: '1\t0/6000100\tx\n' }).histories)).toBe(1);
    expect(latestTimeline(3, histories)).toBe(3);
  });
});

describe('a recovery', () => {
  const on = (timeline: number, here: ReturnType<typeof contents>, from = 4) =>
    walk(here, pathTo(timeline, here.histories, layout), from);

  test('reaches the end of the last segment', () => {
    expect(on(1, contents(['1:3', '1:4', '1:5']))).toMatchObject({
      lastNumber: 5,
      endLsn: 0x600_0000n,
      obstacle: undefined,
    });
  });

  test('reaches nothing if the first segment is missing', () => {
    expect(on(1, contents(['1:3']))).toMatchObject({ lastNumber: 3, obstacle: undefined });
    expect(on(1, contents(['1:5']))).toMatchObject({
      lastNumber: 3,
      obstacle: 'segment 000000010000000000000004 is missing',
    });
  });

  test('reaches a gap or a damaged segment', () => {
    expect(on(1, contents(['1:4', '1:6']))).toMatchObject({
      endLsn: 0x500_0000n,
      obstacle: 'segment 000000010000000000000005 is missing',
    });
    expect(on(1, contents(['1:4', found('1:5', 'it has 1 bytes')]))).toMatchObject({
      lastNumber: 4,
      obstacle: 'segment 000000010000000000000005 cannot be replayed: it has 1 bytes',
    });
  });

  test('continues over a gap if pg_wal contains the segment', () => {
    expect(on(1, contents(['1:4', '1:6'], {}, ['1:5']))).toMatchObject({
      lastNumber: 6,
      obstacle: undefined,
    });
  });

  test('continues across promotions, and not along an abandoned timeline', () => {
    const here = contents(['1:4', '1:5', '1:7', '1:8', '2:6', '2:7', '3:8', '3:9'], twoPromotions);
    expect(on(3, here)).toMatchObject({ lastNumber: 9, obstacle: undefined });
    expect(on(1, here)).toMatchObject({
      lastNumber: 5,
      obstacle: 'segment 000000010000000000000006 is missing',
    });
    expect(on(2, contents(['1:4', '1:5', '1:6', '1:7', '1:8'], twoPromotions))).toMatchObject({
      lastNumber: 6,
      obstacle: undefined,
    });
  });
});
