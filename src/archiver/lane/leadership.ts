/**
 * Where Patroni runs the server, only its leader delivers: a primary whose Patroni has died continues to write, and its WAL may
 * be left by another promotion at any moment. Patroni's lock outlives an answer by far (ttl less loop_wait, 20 s by
 * default), so an answer counts for a moment.
 */
import { askLeadership } from '../../system/patroni.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';

const countsMs = 1_000;
/** Patroni answers at once. One that is stopped, or too busy for this, may have lost the lock. */
const answerMs = 2_000;

/** Returns why nothing may be delivered now; undefined if it may. */
export type MayDeliver = () => Promise<Trouble | undefined>;

/** Undefined where Patroni does not decide: it does not run here, or this server does not deliver as the primary. */
export function leadershipOf(
  { settings: { patroni_url: url }, monotonicMs }: ArchiverDeps,
  { systemIdentifier, isInRecovery, relayedFrom }: Cluster,
  ask = askLeadership,
): MayDeliver | undefined {
  if (url === undefined || isInRecovery || relayedFrom !== undefined) return undefined;
  let seenMs = -Infinity;
  return async () => {
    const nowMs = monotonicMs();
    if (nowMs - seenMs < countsMs) return undefined;
    const leadership = await ask(url, systemIdentifier, answerMs);
    if (leadership.kind === 'leader') {
      // Counted from the question: the answer may have been on its way for long.
      seenMs = nowMs;
      return undefined;
    }
    return {
      kind: 'not-leader',
      reason: leadership.reason,
      hint: 'If this host is to be the primary, start Patroni here (patronictl list); otherwise the new leader delivers.',
    };
  };
}
