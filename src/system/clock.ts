import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Guarded, is } from './json.ts';

/** A moment that any process of this host can measure from, until the host is booted again. */
export const isMoment = is.object({
  boot: is.text,
  /** On the clock of `monotonicMs`. */
  ms: is.number,
});

export type Moment = Guarded<typeof isMoment>;

/** The one clock of both programs. */
export interface Clock {
  /**
   * Milliseconds since 1970 by this host's clock, for names, records and people. That clock may be set at any moment
   * and differs between hosts: never use it to measure a duration, or to compare with a time from another host or
   * from WAL.
   */
  readonly now: () => number;
  /** Milliseconds since this host was booted, by a clock that nobody sets: for durations and limits. */
  readonly monotonicMs: () => number;
  readonly moment: () => Moment;
  /** Resolves after this many milliseconds, or rejects with the signal's reason. */
  readonly pause: (ms: number) => Promise<void>;
}

/** The kernel's clock, which is the same for every process. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    // Without it, each process has moments that only the process itself understands.
    return `pid ${process.pid}`;
  }
}

/** The moment on the clock of `monotonicMs`; undefined if it was before the host was booted, or if there is none. */
export function sinceBoot(clock: Pick<Clock, 'moment'>, moment: Moment | undefined): number | undefined {
  return moment !== undefined && moment.boot === clock.moment().boot ? moment.ms : undefined;
}

/**
 * @param signal ends every pause. Without one a pause lasts its full time: for undoing what a signal has interrupted.
 */
export function systemClock(signal?: AbortSignal): Clock {
  return {
    now: Date.now,
    monotonicMs,
    moment: () => ({ boot: bootId(), ms: monotonicMs() }),
    pause: async (ms) => {
      await delay(ms, undefined, { signal }).catch(() => undefined);
      signal?.throwIfAborted();
    },
  };
}

/** A timer with a longer time would fire at once. */
export const longestTimerMs = 2 ** 31 - 1;

/** Whether this settles within so many milliseconds. What it rejects with is thrown. */
export async function settlesWithin(work: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, limitMs, false);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
