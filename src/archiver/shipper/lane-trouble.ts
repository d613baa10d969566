import type { Trouble } from '../delivery/trouble.ts';
import { record } from './lane-notes.ts';
import type { ShipperLane } from './lane-record.ts';
import type { Work } from './work.ts';

const shortestRestMs = 500;
export const longestRestMs = 10_000;
const conflictRestMs = 60_000;

/** A conflict is found only by sending the file again, and only an operator can end it. */
function restMs(lane: ShipperLane, kind: Trouble['kind'], chance: number): number {
  const growing = Math.min(longestRestMs, shortestRestMs * 2 ** Math.min(lane.failures, 10));
  const limit = kind === 'conflict' ? conflictRestMs : growing;
  return Math.round(limit * (0.5 + chance / 2));
}

/** Between 0 and 1. */
function chanceOf(nonce: string): number {
  return Number.parseInt(nonce.slice(0, 6), 16) / 0xff_ff_ff;
}

/** A standby may be down for days: the same report is not repeated at every try. */
function tellTrouble({ deps }: Work, lane: ShipperLane, { reason, hint }: Trouble): void {
  if (lane.toldReason === reason) return;
  lane.toldReason = reason;
  deps.log.warning(`standby ${lane.name}: ${reason}`);
  if (hint !== undefined) deps.log.warning(`HINT: ${hint}`);
}

/** New files are queued from now on. The standby is left alone for a while, longer each time. */
export async function noteTrouble(work: Work, lane: ShipperLane, trouble: Trouble): Promise<void> {
  const { deps } = work;
  lane.failures += 1;
  lane.troubleSinceMs ??= deps.monotonicMs();
  lane.isBehind = true;
  const rest = restMs(lane, trouble.kind, chanceOf(deps.nonce()));
  lane.restUntilMs = deps.monotonicMs() + rest;
  work.decide.wake();
  tellTrouble(work, lane, trouble);
  await record(work, lane, { health: trouble.kind, reason: trouble.reason, retryAt: deps.now() + rest });
}
