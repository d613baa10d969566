import { describe, expect, test } from 'vitest';
import { judgeDisk, levelBehind, percentUsed } from '../../../src/status/limits.ts';
import { limits } from './limits-kit.ts';

describe('WAL that waits', () => {
  test.each([
    [99, 3600, 'ok'],
    [5000, 9, 'ok'],
    [100, 10, 'warning'],
    [5000, 59, 'warning'],
    [999, 3600, 'warning'],
    [1000, 60, 'critical'],
    [1000, undefined, 'critical'],
    [99, undefined, 'ok'],
  ] as const)('%i bytes for %s s: %s', (bytes, ageS, level) => {
    expect(levelBehind(limits, bytes, ageS)).toBe(level);
  });
});

describe('a file system', () => {
  const place = { name: 'pg_wal', path: '/wal' };
  const use = (percent: number) => ({ bytes: 1000, freeBytes: 1000 - percent * 10 });
  test.each([
    [50, undefined, undefined],
    [50, Infinity, undefined],
    [80, Infinity, 'warning'],
    [50, 3600, 'warning'],
    [50, 600, 'critical'],
    [95, Infinity, 'critical'],
  ])('%i %% used, full in %s s: %s', (percent, fullInS, level) => {
    expect(judgeDisk(limits, place, use(percent), fullInS)[0]?.level).toBe(level);
  });

  test('says when it is full', () => {
    const [finding] = judgeDisk(limits, place, use(90), 90);
    expect(finding?.message).toBe(
      'the file system of pg_wal (/wal) is 90 % full, 100 bytes are free; at this rate it is full in 1 min 30 s',
    );
  });

  test('of no size is full', () => {
    expect(percentUsed({ bytes: 0, freeBytes: 0 })).toBe(100);
  });
});
