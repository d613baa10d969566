import type { Delivery } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import {
  askHoldings,
  beginCatchUp,
  type CatchUp,
  endPass,
  lackOf,
  proofOf,
  takeHoldings,
} from './catch-up.ts';
import { hurryCatchUp, nextCatchUpBatch, sendCatchUpBatch } from './catch-up-batch.ts';
import type { Lane } from './lane.ts';
import { noteCatchUp } from './modes.ts';
import { batchBytes, batchFiles, transferLimitMs } from './send.ts';
import { describeLack, type Lack, lacksNothing } from './state.ts';

/** How a catch-up that nothing else waits for ended; `sent` counts the files. */
export type CatchUpEnd = { readonly sent: number } & (
  | { readonly kind: 'caught-up'; readonly lack: Lack }
  /** Files come by themselves, or it lacks again what it got. */
  | { readonly kind: 'waits' }
  | { readonly kind: 'no-data' }
  /** It was asked in vain. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** It cannot be asked: its host may store WAL only. */
  | { readonly kind: 'mute'; readonly reason: string }
  | { readonly kind: 'trouble'; readonly trouble: Trouble }
);

type PassResult =
  | { readonly sent: number; readonly trouble: Trouble | undefined }
  | { readonly kind: 'unknown' | 'mute'; readonly reason: string }
  | 'no-data';

/** One pass: asks the standby, and sends what it lacks. */
async function pass(
  deps: ArchiverDeps,
  lane: Lane,
  delivery: Delivery,
  catchUp: CatchUp,
): Promise<PassResult> {
  const command = delivery.sentinel?.command;
  if (command === undefined)
    return {
      kind: 'mute',
      reason:
        'its sentinel does not say how cmd_standby is called there (run cmd_standby -C FILE --cleanup there once)',
    };
  const asked = await askHoldings(delivery, command, catchUp);
  deps.signal.throwIfAborted();
  if (asked.kind === 'no-data') return 'no-data';
  const reason = asked.kind === 'unknown' ? asked.reason : takeHoldings(catchUp, asked.holdings);
  if (reason !== undefined) return { kind: 'unknown', reason };
  let sent = 0;
  for (;;) {
    deps.signal.throwIfAborted();
    const batch = await nextCatchUpBatch(deps, lane, catchUp, { files: batchFiles, bytes: batchBytes });
    if (batch === undefined) return { sent, trouble: undefined };
    const result = await sendCatchUpBatch(deps, delivery, catchUp, batch, transferLimitMs(batch));
    sent += result.delivered.length;
    if (result.trouble !== undefined) return { sent, trouble: result.trouble };
  }
}

/** Sends everything that the standby lacks, and notes the proof. The caller holds the lane's lock. */
export async function catchUpToEnd(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  delivery: Delivery,
): Promise<CatchUpEnd> {
  const catchUp = await beginCatchUp(deps, lane, cluster);
  if (catchUp === undefined) return { kind: 'unknown', sent: 0, reason: 'this server gives no WAL now' };
  hurryCatchUp(catchUp);
  let sent = 0;
  for (;;) {
    const passed = await pass(deps, lane, delivery, catchUp);
    if (passed === 'no-data') {
      await noteCatchUp(deps, lane, {
        caughtUp: { ...proofOf(catchUp), hasNoData: true },
        lack: lacksNothing,
      });
      return { kind: 'no-data', sent };
    }
    if ('reason' in passed) return { ...passed, sent };
    sent += passed.sent;
    if (passed.trouble !== undefined) return { kind: 'trouble', sent, trouble: passed.trouble };
    const end = endPass(catchUp);
    if (end.kind === 'wait') return { kind: 'waits', sent };
    if (end.kind === 'ask-again') continue;
    const lack = lackOf(catchUp);
    await noteCatchUp(deps, lane, { caughtUp: proofOf(catchUp), lack });
    return { kind: 'caught-up', sent, lack };
  }
}

/** Whether the standby is known to lack WAL that this host has, or could not say what it lacks. */
export function leavesDoubt(end: CatchUpEnd): boolean {
  switch (end.kind) {
    case 'waits':
    case 'unknown':
    case 'trouble':
      return true;
    // WAL that is nowhere here cannot be delivered.
    case 'caught-up':
      return end.lack.conflicts.length > 0 || end.lack.unread !== undefined;
    case 'no-data':
    case 'mute':
      return false;
  }
}

/** For the report; undefined if there is nothing to say beside the number of files. */
export function describeEnd(end: CatchUpEnd): string | undefined {
  switch (end.kind) {
    case 'caught-up': {
      const lack = describeLack(end.lack);
      return lack.length === 0 ? 'it has all WAL from its restartpoint on' : `it ${lack.join('. It also ')}`;
    }
    case 'waits':
      return 'it still lacks WAL';
    case 'no-data':
      return 'it has no data yet';
    case 'unknown':
    case 'mute':
      return `it is not known whether it lacks WAL: ${end.reason}`;
    case 'trouble':
      return undefined;
  }
}
