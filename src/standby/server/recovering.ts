import { PitrError } from '../../errors.ts';
import { serverLogTail, type Started } from './local-server.ts';
import type { Server } from './server.ts';
import { observeServer } from './server-state.ts';
import { type Look, waitUntil } from './wait.ts';

/** If a setting makes a server fail, that happens within moments after it has written that it recovers. */
const settleMs = 1_000;

type Seen = 'recovering' | 'production';

/** The time since which it has been seen recovering without an answer. */
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

/** The outcomes that count as success, and the message for any other one. */
export interface Expectation {
  readonly wanted: readonly Seen[];
  readonly message: string;
  readonly hint?: string;
}

/**
 * Waits until a started server is open or recovers. A hot standby says so itself. A warm standby answers no query: it
 * must have written so and then have run on for a moment.
 */
export async function mustBeSeen(
  server: Server,
  started: Started,
  { wanted, message, hint = 'The server log shows the reason.' }: Expectation,
): Promise<Seen> {
  const { deps } = server;
  const firstSeen: FirstSeen = { atMs: undefined };
  const seen = await waitUntil(deps, deps.settings.start_timeout, () => look(server, started, firstSeen));
  if (seen.kind === 'done' && wanted.includes(seen.value)) return seen.value;
  const reason = seen.kind === 'failed' ? seen.reason : 'it is out of recovery: it has been promoted';
  throw new PitrError(message, { detail: `${reason}; ${await serverLogTail(deps, started)}`, hint });
}
