import type { StandbyDeps } from '../../../deps.ts';
import type { Primary } from '../../../primary/primary.ts';
import { unlessStopped } from '../../../primary/session.ts';

/**
 * From 9.6 on a backup becomes invalid if its session ends, and hours of copying are lost. The work is then stopped as
 * by a signal, with the reason.
 *
 * @param isNeeded false once the backup has ended on the primary
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
