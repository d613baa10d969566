import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import type { StandbyDeps } from '../deps.ts';
import { serverLogTail, type Started } from './local-server.ts';
import type { Server } from './server.ts';
import { observeServer, type ServerState } from './server-state.ts';
import { type Look, lookingAt, waitUntil } from './wait.ts';

interface StartedServer {
  readonly server: Server;
  /** The server's state before it was started. */
  readonly started: Started;
}

/** Whether the server has reached the expected state, or why it never will. */
export type Judge = (state: ServerState) => boolean | string | Promise<boolean | string>;

function lookOf(state: ServerState, judgement: boolean | string): Look<ServerState> {
  if (judgement === true) return { kind: 'done', value: state };
  if (judgement !== false) return { kind: 'failed', reason: judgement };
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  return { kind: 'waiting', progress: state.kind === 'production' ? '' : state.progress };
}

/** From PostgreSQL 10 on its last line says whether the server accepts connections. */
async function pidFileText(pgdata: string): Promise<string> {
  return readFile(join(pgdata, 'postmaster.pid'), 'utf8').catch(() => '');
}

/** Waits until a started server reaches the state. The reason for a failure contains the end of the server's log. */
export async function reaches(
  { server, started }: StartedServer,
  judge: Judge,
): Promise<Exclude<Look<ServerState>, { kind: 'waiting' }>> {
  const { deps } = server;
  const look = async () => {
    const state = await observeServer(server, started);
    return lookOf(state, await judge(state));
  };
  const end = await waitUntil(
    deps,
    deps.settings.start_timeout,
    look,
    lookingAt(() => pidFileText(server.pgdata)),
  );
  if (end.kind === 'done') return end;
  return { kind: 'failed', reason: `${end.reason}; ${await serverLogTail(deps, started)}` };
}

/** The same for a state that must be reached: otherwise throws the error that `explain` makes of the reason. */
export async function mustReach(
  server: StartedServer,
  judge: Judge,
  explain: (detail: string) => PitrError | Promise<PitrError>,
): Promise<ServerState> {
  const end = await reaches(server, judge);
  if (end.kind === 'failed') throw await explain(end.reason);
  return end.value;
}

/** Returns a function that shows at each call whether the limit has passed since its first call. */
export function timeSinceFirst({ monotonicMs }: Pick<StandbyDeps, 'monotonicMs'>, limitMs: number) {
  let firstMs: number | undefined;
  return (): boolean => {
    const nowMs = monotonicMs();
    firstMs ??= nowMs;
    return nowMs - firstMs >= limitMs;
  };
}

/** If a setting makes a server fail, that happens within moments after it has written that it recovers. */
const settleMs = 1_000;

export interface Expectation {
  /** A server that is out of recovery is as good. */
  readonly mayBeOpen: boolean;
  readonly message: string;
  readonly hint?: string;
}

/**
 * Waits until a started server recovers or is open. A hot standby says so itself. A warm standby answers no query: it
 * must have written so and then have run on for a moment.
 */
export async function mustRecover(
  context: StartedServer,
  { mayBeOpen, message, hint = 'The server log shows the reason.' }: Expectation,
): Promise<ServerState> {
  const hasSettled = timeSinceFirst(context.server.deps, settleMs);
  return mustReach(
    context,
    (state) => {
      if (state.kind === 'production') return mayBeOpen || 'it is out of recovery: it has been promoted';
      return state.kind === 'recovering' && (state.answers || hasSettled());
    },
    (detail) => new PitrError(message, { detail, hint }),
  );
}
