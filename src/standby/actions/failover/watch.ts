import type { PitrError } from '../../../errors.ts';
import { serverLogTail, type Started } from '../../server/local-server.ts';
import type { Server } from '../../server/server.ts';
import { observeServer, type ServerState } from '../../server/server-state.ts';
import { type Look, waitUntil } from '../../server/wait.ts';
import type { FailoverRun } from './run.ts';

/** Whether the server has reached the expected state, or why it never will. */
type Judge = (state: ServerState) => boolean | string | Promise<boolean | string>;

function lookOf(state: ServerState, judgement: boolean | string): Look<undefined> {
  if (judgement === true) return { kind: 'done', value: undefined };
  if (judgement !== false) return { kind: 'failed', reason: judgement };
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  return { kind: 'waiting', progress: state.kind === 'production' ? '' : state.progress };
}

/** @returns why a started server did not reach the state; undefined if it did */
export async function whyNotReached(
  server: Server,
  started: Started,
  judge: Judge,
): Promise<string | undefined> {
  const { deps } = server;
  const end = await waitUntil(deps, deps.settings.start_timeout, async () => {
    const state = await observeServer(server, started);
    return lookOf(state, await judge(state));
  });
  return end.kind === 'done' ? undefined : end.reason;
}

/**
 * Waits until the server reaches the state. Otherwise throws the error that `explain` makes of the reason and the end
 * of the server's log.
 */
export async function mustReach(
  { server, started }: FailoverRun,
  judge: Judge,
  explain: (detail: string) => PitrError | Promise<PitrError>,
): Promise<void> {
  const reason = await whyNotReached(server, started, judge);
  if (reason !== undefined) throw await explain(`${reason}; ${await serverLogTail(server.deps, started)}`);
}
