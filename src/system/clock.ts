import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A moment that another process of this host can count from, as long as the host is not booted anew. */
export interface Moment {
  readonly boot: string;
  /** By `monotonicMs`. */
  readonly ms: number;
}

/** The one clock of both programs. */
export interface Clock {
  /**
   * Milliseconds since 1970, as this host has it: for names, records and people. It may be set at any moment, and no other host has the same:
   * it never says how long something has taken, and never judges a time that comes from another host or from WAL.
   */
  readonly now: () => number;
  /** Milliseconds since this host was booted, which nobody sets: how long something takes, and until when it is waited for. */
  readonly monotonicMs: () => number;
  readonly moment: () => Moment;
  /** Resolves after so many milliseconds, or rejects with the signal's reason. */
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
    // Then each process is alone with its moments.
    return `pid ${process.pid}`;
  }
}

/** When that was by `monotonicMs`; undefined of a moment before the host was booted, or of none. */
export function sinceBoot(clock: Pick<Clock, 'moment'>, moment: Moment | undefined): number | undefined {
  return moment !== undefined && moment.boot === clock.moment().boot ? moment.ms : undefined;
}

/** @param signal ends every pause; without one a pause lasts its time, for undoing what a signal has interrupted */
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
