import { setTimeout as delay } from 'node:timers/promises';

/** The one clock of both programs. */
export interface Clock {
  /**
   * Milliseconds since 1970, as this host has it: for names, records and people. It may be set at any moment, and no other host has the same:
   * it never says how long something has taken, and never judges a time that comes from another host or from WAL.
   */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets: how long something takes, and until when this process waits. */
  readonly monotonicMs: () => number;
  /** Resolves after so many milliseconds, or rejects with the signal's reason. */
  readonly pause: (ms: number) => Promise<void>;
}

/** @param signal ends every pause; without one a pause lasts its time, for undoing what a signal has interrupted */
export function systemClock(signal?: AbortSignal): Clock {
  return {
    now: Date.now,
    monotonicMs: () => performance.now(),
    pause: async (ms) => {
      await delay(ms, undefined, { signal }).catch(() => undefined);
      signal?.throwIfAborted();
    },
  };
}
