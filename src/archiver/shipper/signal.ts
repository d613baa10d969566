/** Lets one part of the shipper wait until another has work for it. A wake-up that comes before the wait is kept. */
export interface WakeUp {
  readonly wake: () => void;
  /** Resolves at the next wake-up, at once if there was one since the last wait, or when the time is over. */
  readonly wait: (limitMs: number) => Promise<void>;
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
          const timer = setTimeout(resolve, Math.max(0, limitMs));
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
