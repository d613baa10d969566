import { describe, expect, test } from 'vitest';
import { secondsOf } from '../../../../src/standby/server/replay-delay.ts';
import { lossOf, primaryEndOf, type Spans } from '../../../../src/standby/status/loss.ts';

const nothing: Spans = { streamS: undefined, archiveS: undefined, commitS: undefined };
/** 1000 bytes per second until a minute ago. */
const points = [0, 20, 40, 60].map((s) => ({ ms: s * 1000, value: 10_000 + s * 1000 }));
const nowMs = 120_000;

describe('what a failover would lose', () => {
  test('is at most what the primary has written beyond this host', () => {
    const end = primaryEndOf({ asked: 5000n, received: { lsn: 4000n, ageS: 1 }, points, nowMs });
    expect(end).toMatchObject({ lsn: 5000n, ageS: 0 });
    const spans = { streamS: 2, archiveS: 60, commitS: undefined };
    expect(end && lossOf(3000n, end, spans)).toMatchObject({ bytes: 2000, seconds: 2, isAtMost: true });
    // An idle primary's last commit may be hours ago.
    expect(end && lossOf(5000n, end, { ...spans, commitS: 7200 })).toMatchObject({ bytes: 0, seconds: 0 });
    expect(end && lossOf(6000n, end, nothing)).toMatchObject({ bytes: 0 });
  });

  test('is an estimate by the rate of a primary that cannot be asked', () => {
    const end = primaryEndOf({ asked: undefined, received: undefined, points, nowMs });
    expect(end).toMatchObject({ lsn: 70_000n, ageS: 60 });
    expect(Math.round(end?.perS ?? 0)).toBe(1000);
    expect(end && lossOf(70_000n, end, nothing)).toMatchObject({
      bytes: 60_000,
      seconds: undefined,
      isAtMost: false,
      knownAgeS: 60,
    });
  });

  test('takes the latest word of the primary', () => {
    const received = { lsn: 80_000n, ageS: 3 };
    expect(primaryEndOf({ asked: undefined, received, points, nowMs })).toMatchObject({
      lsn: 80_000n,
      ageS: 3,
    });
    expect(primaryEndOf({ asked: undefined, received: { lsn: 1n, ageS: 90 }, points, nowMs })).toMatchObject({
      lsn: 70_000n,
    });
    expect(primaryEndOf({ asked: undefined, received: undefined, points: [], nowMs })).toBeUndefined();
  });
});

test('reads a delay as a setting has it', () => {
  expect(['5min', '1h', '200', '1.5s', '2 d', 'soon'].map(secondsOf)).toEqual([
    300,
    3600,
    0.2,
    1.5,
    172_800,
    undefined,
  ]);
});
