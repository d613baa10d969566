import { describe, expect, test } from 'vitest';
import type { TimelineEntry } from '../../../../src/postgres/history.ts';
import {
  markAgainst,
  marksOf,
  type OwnPlace,
  whyNotContained,
} from '../../../../src/standby/follow/lineage.ts';

const entry = (timeline: number, lsn: bigint): TimelineEntry => ({ timeline, end: { kind: 'lsn', lsn } });
const there = { timeline: 3, history: [entry(1, 0x5000100n), entry(2, 0x7000100n)], lsn: 0x9000000n };
const own = (changes: Partial<OwnPlace>): OwnPlace => ({
  timeline: 1,
  lsn: 0x5000100n,
  isRecordStart: false,
  history: undefined,
  ...changes,
});

describe('a history', () => {
  test.each<Partial<OwnPlace>>([
    { lsn: 0x5000100n },
    { lsn: 0x4000000n },
    { timeline: 2, lsn: 0x7000100n, history: [entry(1, 0x5000100n)] },
    { timeline: 3, lsn: 0x9000000n, history: there.history },
    { timeline: 1, lsn: 0x5000088n, isRecordStart: true },
  ])('contains %o', (changes) => {
    expect(whyNotContained(own(changes), there)).toBeUndefined();
  });

  test.each<[Partial<OwnPlace>, string]>([
    [
      { lsn: 0x5000101n },
      'its timeline 3 left timeline 1 at 0/5000100, and this host has WAL up to 0/5000101',
    ],
    [
      // The record that begins at the fork was not replayed there.
      { lsn: 0x5000100n, isRecordStart: true },
      'its timeline 3 left timeline 1 at 0/5000100, and this host has its last checkpoint at 0/5000100',
    ],
    [{ timeline: 4 }, 'timeline 4, which this host is on, is not in the history of its timeline 3'],
    [
      { timeline: 3, lsn: 0x9000001n },
      'this host has WAL of timeline 3 up to 0/9000001, and it has no more than up to 0/9000000',
    ],
    [
      { timeline: 3, lsn: 0x8000000n, isRecordStart: true },
      "it is on timeline 3 as this host's own server was: it was not promoted",
    ],
    [
      { timeline: 2, lsn: 0x6000000n, history: [entry(1, 0x5000200n)] },
      'its timeline 2 is another one: here it comes from timeline 1 at another location',
    ],
    [
      { timeline: 3, lsn: 0x6000000n, history: [entry(1, 0x5000100n), entry(2, 0x6000000n)] },
      'its timeline 3 is another one: here it comes from timeline 2 at another location',
    ],
  ])('does not contain %o', (changes, reason) => {
    expect(whyNotContained(own(changes), there)).toBe(reason);
  });

  test('up to 9.2 does not show the location', () => {
    const segment = { kind: 'segment', segment: { text: 'x' } } as never;
    expect(whyNotContained(own({}), { ...there, history: [{ timeline: 1, end: segment }] })).toBe(
      'its history file does not show at which location timeline 1 was left',
    );
  });
});

describe('the marks of an archive', () => {
  const mark = (timeline: number, lsn: bigint) => ({ timeline, lsn, by: 'b' });
  test.each([
    [[], undefined],
    [[mark(1, 0x5000100n), mark(2, 0x7000100n)], undefined],
    [[mark(1, 0x5000200n)], undefined],
    [[mark(1, 0x5000000n)], mark(1, 0x5000000n)],
    [[mark(3, 0x8000000n)], mark(3, 0x8000000n)],
  ])('%o are against it: %o', (left, against) => {
    expect(markAgainst(left, there)).toEqual(against);
  });

  test('are those of its ancestors', () => {
    expect(marksOf(there, 'b')).toEqual([mark(1, 0x5000100n), mark(2, 0x7000100n)]);
  });
});
