import { PitrError } from '../../errors.ts';
import { serverLogTail, type Started } from './local-server.ts';
import type { Server } from './server.ts';
import { observeServer } from './server-state.ts';
import { type Look, waitUntil } from './wait.ts';

/** A server that fails over a setting does so moments after it has written that it recovers. */
const settleMs = 1_000;

type Seen = 'recovering' | 'production';

/** Since when it has been seen recovering without an answer. */
interface FirstSeen {
  atMs: number | undefined;
}

async function look(server: Server, started: Started, firstSeen: FirstSeen): Promise<Look<Seen>> {
  const state = await observeServer(server, started);
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  if (state.kind === 'production') return { kind: 'done', value: 'production' };
  if (state.kind === 'starting') return { kind: 'waiting', progress: state.progress };
  if (state.answers) return { kind: 'done', value: 'recovering' };
  const nowMs = server.deps.monotonicMs();
  firstSeen.atMs ??= nowMs;
  if (nowMs - firstSeen.atMs >= settleMs) return { kind: 'done', value: 'recovering' };
  return { kind: 'waiting', progress: state.progress };
}

/** Which outcomes are success, and what is said of any other. */
export interface Expectation {
  readonly wanted: readonly Seen[];
  readonly message: string;
  readonly hint?: string;
}

/**
 * Waits until a started server answers that it recovers, or has written so and lived on for a while (a warm standby answers nobody),
 * or until it is open.
 */
export async function mustBeSeen(
  server: Server,
  started: Started,
  { wanted, message, hint = 'The reason stands in the server log.' }: Expectation,
): Promise<Seen> {
  const { deps } = server;
  const firstSeen: FirstSeen = { atMs: undefined };
  const seen = await waitUntil(deps, deps.settings.start_timeout, () => look(server, started, firstSeen));
  if (seen.kind === 'done' && wanted.includes(seen.value)) return seen.value;
  const reason = seen.kind === 'failed' ? seen.reason : 'it is out of recovery: it has been promoted';
  throw new PitrError(message, { detail: `${reason}; ${await serverLogTail(deps, started)}`, hint });
}
