import type { StartSession } from './command.ts';

interface Leash {
  readonly startSession: StartSession;
  /** The reason why ssh itself could not be started, if it could not. */
  readonly notStarted: () => string | undefined;
}

/**
 * Ends every session of ours at each of these signals: ssh alone may wait forever. One that is started after them ends at
 * once.
 */
export function leash(startSession: StartSession, ends: readonly AbortSignal[]): Leash {
  let reason: string | undefined;
  return {
    startSession: (command, options) => {
      const session = startSession(command, options);
      for (const end of ends) end.addEventListener('abort', session.kill, { once: true });
      // A signal that has come before calls no listener.
      if (ends.some(({ aborted }) => aborted)) session.kill();
      void session.ended.then((result) => {
        for (const end of ends) end.removeEventListener('abort', session.kill);
        if (result.kind === 'not-started') reason = result.reason;
      });
      return session;
    },
    notStarted: () => reason,
  };
}

/**
 * Comes with the given signal, or after this many milliseconds. AbortSignal.any holds its sources only weakly: up to Node 22 a
 * time limit that nothing else refers to is lost to the garbage collection, and never comes.
 */
export function withTimeLimit(signal: AbortSignal, limitMs: number): AbortSignal {
  const limit = AbortSignal.timeout(limitMs);
  // Node keeps a time limit that has a listener.
  limit.addEventListener('abort', () => undefined, { once: true });
  return AbortSignal.any([signal, limit]);
}
