import { describe, expect, test } from 'vitest';
import { emptyInS, trendOf } from '../../../src/status/trend.ts';

const minute = 60_000;

/** Free space that falls by a number of bytes each second, looked at each minute. */
function falling(perS: number, minutes: number) {
  return Array.from({ length: minutes + 1 }, (_, at) => ({ ms: at * minute, value: 1e9 - perS * at * 60 }));
}

describe('a trend', () => {
  test('is the slope of the samples within the window', () => {
    const trend = trendOf(falling(1000, 10), 10 * minute, 30 * minute);
    expect(trend?.rate).toBeCloseTo(-1000, 6);
    expect(trend?.overS).toBe(600);
    expect(trend && emptyInS(500_000, trend)).toBeCloseTo(500, 6);
  });

  test('is not decided by what was longer ago', () => {
    const old = falling(1000, 10);
    const still = Array.from({ length: 31 }, (_, at) => ({ ms: (at + 11) * minute, value: 5 }));
    const trend = trendOf([...old, ...still], 41 * minute, 30 * minute);
    expect(trend?.rate).toBeCloseTo(0, 6);
  });

  test('is unknown where the samples cover too little time', () => {
    expect(trendOf([], 0, minute)).toBeUndefined();
    expect(trendOf([{ ms: 0, value: 1 }], 0, minute)).toBeUndefined();
    const close = [0, 1000, 19_000].map((ms) => ({ ms, value: ms }));
    expect(trendOf(close, 19_000, minute)).toBeUndefined();
  });

  test('a clock that has moved back gives no sample of the future', () => {
    const points = [
      { ms: 90_000, value: 5 },
      { ms: 0, value: 1 },
      { ms: 60_000, value: 61 },
    ];
    expect(trendOf(points, 60_000, 10 * minute)?.rate).toBeCloseTo(1, 6);
  });

  test('that does not fall never ends', () => {
    expect(emptyInS(5, { rate: 0, overS: 60 })).toBe(Infinity);
    expect(emptyInS(5, { rate: 3, overS: 60 })).toBe(Infinity);
  });
});
