import type { StartSession } from './command.ts';

interface Leash {
  readonly startSession: StartSession;
  /** The reason why ssh itself could not be started, if it could not. */
  readonly notStarted: () => string | undefined;
}

/**
 * Ends every session of ours at each of these signals: ssh alone may wait forever. They are not combined by
 * AbortSignal.any, which up to Node 22 may lose a time limit to the garbage collection.
 */
export function leash(startSession: StartSession, ends: readonly AbortSignal[]): Leash {
  let reason: string | undefined;
  return {
    startSession: (command, options) => {
      const session = startSession(command, options);
      for (const end of ends) end.addEventListener('abort', session.kill, { once: true });
      void session.ended.then((result) => {
        for (const end of ends) end.removeEventListener('abort', session.kill);
        if (result.kind === 'not-started') reason = result.reason;
      });
      return session;
    },
    notStarted: () => reason,
  };
}
