/** How a number that was sampled from time to time changes, and when it would reach zero. Pure. */

/** Moments are milliseconds by the clock that nobody sets (system/clock.ts). */
export interface Point {
  readonly ms: number;
  readonly value: number;
}

export interface Trend {
  /** Per second. */
  readonly rate: number;
  /** The time that the samples cover. */
  readonly overS: number;
}

/** A rate over a shorter time says more about the moments of the samples than about what is measured. */
const shortestMs = 20_000;

/**
 * The slope of the straight line through the points of the last `windowMs` that fits best, so that one late sample does
 * not decide; undefined if they cover too little time.
 */
export function trendOf(points: readonly Point[], nowMs: number, windowMs: number): Trend | undefined {
  const recent = points.filter(({ ms }) => ms <= nowMs && ms >= nowMs - windowMs);
  const overMs = Math.max(...recent.map(({ ms }) => ms)) - Math.min(...recent.map(({ ms }) => ms));
  if (recent.length < 2 || overMs < shortestMs) return undefined;
  const meanMs = recent.reduce((sum, { ms }) => sum + ms, 0) / recent.length;
  const meanValue = recent.reduce((sum, { value }) => sum + value, 0) / recent.length;
  let above = 0;
  let below = 0;
  for (const { ms, value } of recent) {
    above += (ms - meanMs) * (value - meanValue);
    below += (ms - meanMs) ** 2;
  }
  return { rate: (above / below) * 1000, overS: overMs / 1000 };
}

/** Seconds until nothing is left; Infinity if it does not get less. */
export function emptyInS(left: number, { rate }: Trend): number {
  return rate < 0 ? left / -rate : Infinity;
}
