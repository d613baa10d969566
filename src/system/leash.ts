import type { CommandResult, Session, StartSession } from './command.ts';

export interface Leash {
  readonly startSession: StartSession;
  /** The reason why ssh itself could not be started, if it could not. */
  readonly notStarted: () => string | undefined;
  readonly release: () => void;
}

/** Ends every session of ours when the limit passes or the answer is no longer needed: ssh alone may wait forever. */
export function leash(startSession: StartSession, limitMs: number, signal: AbortSignal): Leash {
  const sessions: Session[] = [];
  let reason: string | undefined;
  const endAll = (): void => {
    for (const session of sessions) session.kill();
  };
  const noteStart = (result: CommandResult): void => {
    if (result.kind === 'not-started') reason = result.reason;
  };
  const timer = setTimeout(endAll, limitMs);
  signal.addEventListener('abort', endAll, { once: true });
  return {
    startSession: (command, options) => {
      const session = startSession(command, options);
      void session.ended.then(noteStart);
      sessions.push(session);
      return session;
    },
    notStarted: () => reason,
    release: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', endAll);
    },
  };
}
