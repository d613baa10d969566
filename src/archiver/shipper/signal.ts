import { systemClock } from '../../system/clock.ts';

/** Lets one part of the shipper wait until another has work for it. A wake-up that comes before the wait is kept. */
export interface WakeUp {
  readonly wake: () => void;
  /** Resolves at the next wake-up, at once if there was one since the last wait, or when the time is over. */
  readonly wait: (limitMs: number) => Promise<void>;
}

/** Long waits end together on this beat of the process: a shipper with nothing to do wakes up once for all its parts. */
export const beatMs = 5_000;
/** A timer may be early. */
const slackMs = 50;

/** At most `limitMs`, and a little for the beat. */
function delayOf(limitMs: number): number {
  if (limitMs < beatMs) return Math.max(0, limitMs);
  const nowMs = systemClock().monotonicMs();
  return Math.floor((nowMs + limitMs + slackMs) / beatMs) * beatMs - nowMs;
}

export function createWakeUp(): WakeUp {
  let isDue = false;
  let finish: (() => void) | undefined;
  return {
    wake: () => {
      isDue = true;
      finish?.();
    },
    wait: async (limitMs) => {
      if (!isDue) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, delayOf(limitMs));
          finish = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        finish = undefined;
      }
      isDue = false;
    },
  };
}
