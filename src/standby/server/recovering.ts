import type { Capabilities } from '../../postgres/capabilities.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Started } from '../local-server.ts';
import { observeServer } from './server-state.ts';
import { waitUntil, type Look } from './wait.ts';

/** A server that fails over a setting does so moments after it has written that it recovers. */
const settleMs = 1_000;

type Seen = 'recovering' | 'production';

/** How long a server that was told to start may take to leave a pid file. */
const appearMs = 5_000;

async function look(
  deps: StandbyDeps,
  capabilities: Capabilities,
  started: Started,
  firstSeen: { atMs: number | undefined },
): Promise<Look<Seen>> {
  const state = await observeServer(deps, capabilities, started.atS);
  const nowMs = deps.now().getTime();
  switch (state.kind) {
    case 'stopped':
      if (nowMs < started.atS * 1000 + appearMs && firstSeen.atMs === undefined)
        return { kind: 'waiting', progress: 'stopped' };
      return { kind: 'failed', reason: 'it has stopped' };
    case 'starting':
      firstSeen.atMs ??= Number.POSITIVE_INFINITY;
      return { kind: 'waiting', progress: state.progress };
    case 'production':
      return { kind: 'done', value: 'production' };
    case 'recovering':
      if (state.answers) return { kind: 'done', value: 'recovering' };
      if (firstSeen.atMs === undefined || firstSeen.atMs === Number.POSITIVE_INFINITY) firstSeen.atMs = nowMs;
      if (nowMs - firstSeen.atMs >= settleMs) return { kind: 'done', value: 'recovering' };
      return { kind: 'waiting', progress: state.progress };
  }
}

/**
 * Waits until a started server answers that it recovers, or has written so and lived on for a while (a warm
 * standby answers nobody).
 */
export async function waitUntilRecovering(deps: StandbyDeps, capabilities: Capabilities, started: Started) {
  const firstSeen: { atMs: number | undefined } = { atMs: undefined };
  return waitUntil(deps, deps.settings.start_timeout, () => look(deps, capabilities, started, firstSeen));
}
