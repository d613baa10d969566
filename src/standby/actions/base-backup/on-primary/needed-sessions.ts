import type { StandbyDeps } from '../../../deps.ts';
import type { Primary } from '../../../primary/primary.ts';
import { unlessStopped } from '../../../primary/session.ts';

/**
 * A backup of 9.6 and later is void once its session is over, and the copy of hours with it: what it runs with is stopped then, as
 * by a signal, with the reason why.
 *
 * @param isNeeded false once the backup has been ended on the primary
 */
export function stopWithSessions(
  deps: StandbyDeps,
  { lost, source }: Primary,
  isNeeded: () => boolean,
): StandbyDeps {
  const over = new AbortController();
  for (const session of source === undefined ? [lost] : [lost, source.lost]) {
    const stop = () => {
      if (isNeeded()) over.abort(session.reason);
    };
    if (session.aborted) stop();
    else session.addEventListener('abort', stop, { once: true });
  }
  const signal = AbortSignal.any([deps.signal, over.signal]);
  return { ...deps, signal, pause: (ms) => unlessStopped(signal, () => deps.pause(ms)) };
}
