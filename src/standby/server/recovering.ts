import type { Capabilities } from '../../postgres/capabilities.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Started } from './local-server.ts';
import { observeServer } from './server-state.ts';
import { waitUntil, type Look } from './wait.ts';

/** A server that fails over a setting does so moments after it has written that it recovers. */
const settleMs = 1_000;

type Seen = 'recovering' | 'production';

/** Since when it has been seen recovering without an answer. */
interface FirstSeen {
  atMs: number | undefined;
}

async function look(
  deps: StandbyDeps,
  capabilities: Capabilities,
  started: Started,
  firstSeen: FirstSeen,
): Promise<Look<Seen>> {
  const state = await observeServer(deps, capabilities, started);
  if (state.kind === 'stopped') return { kind: 'failed', reason: 'it has stopped' };
  if (state.kind === 'production') return { kind: 'done', value: 'production' };
  if (state.kind === 'starting') return { kind: 'waiting', progress: state.progress };
  if (state.answers) return { kind: 'done', value: 'recovering' };
  const nowMs = deps.monotonicMs();
  firstSeen.atMs ??= nowMs;
  if (nowMs - firstSeen.atMs >= settleMs) return { kind: 'done', value: 'recovering' };
  return { kind: 'waiting', progress: state.progress };
}

/**
 * Waits until a started server answers that it recovers, or has written so and lived on for a while (a warm
 * standby answers nobody).
 */
export async function waitUntilRecovering(deps: StandbyDeps, capabilities: Capabilities, started: Started) {
  const firstSeen: FirstSeen = { atMs: undefined };
  return waitUntil(deps, deps.settings.start_timeout, () => look(deps, capabilities, started, firstSeen));
}
