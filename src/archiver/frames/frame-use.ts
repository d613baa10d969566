/** Whether segments may go to a standby as frames. */
import { compresses, isOfTheWay } from '../../system/rsync.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';

/** The experience of this connection with frames. */
export interface FrameUse {
  readonly isResting: () => boolean;
  /** Files travel as they are for some time, longer each time. */
  readonly rest: (why: string) => void;
}

const shortestRestMs = 60_000;
const longestRestMs = 3_600_000;

export function frameUse({ monotonicMs, log }: Pick<ArchiverDeps, 'monotonicMs' | 'log'>): FrameUse {
  let restUntilMs = -Infinity;
  let restMs = shortestRestMs;
  return {
    isResting: () => monotonicMs() < restUntilMs,
    rest: (why) => {
      log.debug(`segments travel as they are for ${restMs / 1000} s: ${why}`);
      restUntilMs = monotonicMs() + restMs;
      restMs = Math.min(2 * restMs, longestRestMs);
    },
  };
}

/**
 * Whether this standby takes frames: a question to be asked each time, because they rest after trouble. Where the user's
 * flags do not compress, nothing else does.
 */
export function acceptsFrames({
  unpacks,
  place,
  rsync,
  frames,
}: Pick<Delivery, 'unpacks' | 'place' | 'rsync' | 'frames'>): () => boolean {
  const isAble =
    unpacks === true &&
    place.mode === 'store' &&
    compresses(rsync.flags) &&
    rsync.flags.every((flag) => isOfTheWay(flag) || flag.startsWith('--bwlimit='));
  return () => isAble && frames?.isResting() === false;
}
