import { type PsqlRunner, type Rows, withPsql } from '../../system/psql.ts';
import type { PsqlTarget } from '../../system/psql-failure.ts';
import type { StandbyDeps } from '../deps.ts';

export type Query = (sql: string, limitMs?: number) => Promise<Rows>;

/** A server that is queried in one session, held open during one action. */
export interface ServerSession {
  /** A statement in the one session that is held open. Ends with the signal's reason when the program is to stop. */
  readonly query: Query;
  /** The same in a session of its own, for times when the open session is waiting or lost. */
  readonly queryAside: Query;
  /** The same, for undoing something after such a signal. */
  readonly queryToUndo: Query;
  /** Aborted as soon as the end of the open session is known; its reason says why. */
  readonly lost: AbortSignal;
}

const questionMs = 60_000;

interface Stop {
  readonly aborted: Promise<never>;
  readonly release: () => void;
}

export function rejectWhenAborted(signal: AbortSignal): Stop {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  return {
    aborted,
    release: () => {
      signal.removeEventListener('abort', onAbort);
    },
  };
}

export async function unlessStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { aborted, release } = rejectWhenAborted(signal);
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    release();
  }
}

export async function withSession<T>(
  { log, signal }: Pick<StandbyDeps, 'log' | 'signal'>,
  runner: PsqlRunner,
  target: PsqlTarget,
  use: (session: ServerSession) => Promise<T>,
): Promise<T> {
  return withPsql(runner, target, log, (psql) => {
    const queryToUndo: Query = (sql, limitMs = questionMs) => psql.query(sql, limitMs);
    return use({
      query: (sql, limitMs) => unlessStopped(signal, () => queryToUndo(sql, limitMs)),
      queryAside: (sql, limitMs = questionMs) =>
        withPsql(runner, target, log, (aside) => aside.query(sql, limitMs)),
      queryToUndo,
      lost: psql.lost,
    });
  });
}
