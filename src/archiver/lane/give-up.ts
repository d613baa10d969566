import type { Clock } from '../../system/clock.ts';
import { troubleSinceMs, type LaneState } from './state.ts';

/** Since when a standby's queue has been full, and since when the standby has accepted nothing; by `monotonicMs`. */
export interface Fullness {
  readonly fullSinceMs: number;
  readonly silentSinceMs: number;
}

/**
 * A standby that accepts WAL, but more slowly than the primary writes it, keeps PostgreSQL waiting for this long at
 * most.
 */
const longestWaitMs = 60_000;

/**
 * Whether `queue_full: abandon` is to be carried out. A small queue is full within a moment, and a base backup is
 * expensive: the standby is abandoned only if it has accepted nothing for as long as a standby may take to answer.
 *
 * @param timeoutMs the standby's `ssh_timeout`
 */
export function mayGiveUp(
  { fullSinceMs, silentSinceMs }: Fullness,
  nowMs: number,
  timeoutMs: number,
): boolean {
  return nowMs - silentSinceMs >= timeoutMs || nowMs - fullSinceMs >= longestWaitMs;
}

/** The times, as far as the state file shows them. `gotThrough`: the standby has just accepted other files. */
export function fullnessOf(
  clock: Pick<Clock, 'moment' | 'monotonicMs'>,
  state: LaneState,
  gotThrough: boolean,
): Fullness {
  const nowMs = clock.monotonicMs();
  const sinceMs = troubleSinceMs(clock, state) ?? nowMs;
  return {
    fullSinceMs: state.health === 'unsafe' ? sinceMs : nowMs,
    silentSinceMs: gotThrough ? nowMs : sinceMs,
  };
}
