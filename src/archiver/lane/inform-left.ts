/**
 * Brings the marks of a standby up to date at a greeting, before anything is delivered: it is informed of the marks of
 * this host that its sentinel lacks, and which marks were taken back. A question that is not answered in time ends no
 * connection: the standby gets WAL all the same, and the operator learns it.
 */
import {
  describeLeft,
  formatLeft,
  leavesBy,
  type LeftTimeline,
  reachesPastFork,
  withLeft,
} from '../../postgres/left-timeline.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { besideOf } from '../../system/ssh-beside.ts';
import { callVerb } from '../../verbs/call.ts';
import type { Standing } from '../../verbs/verbs.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { Lane } from './lane.ts';
import { noteRestored, noteStandings, rememberIgnored, restoredFor } from './left-state.ts';
import type { OwnLeft } from './own-forks.ts';

/** The program there has to start first. */
function verbLimitMs({ standby }: Lane): number {
  return Math.max(30_000, standby.ssh_timeout * 1000);
}

/** The facts that the greeting showed, and its connection. */
interface Greeting {
  readonly shell: RemoteShell;
  readonly sentinel: Sentinel;
  readonly newest: readonly SegmentName[];
}

export interface Informed {
  /** Whether the sentinel there has other marks now. */
  readonly isChanged: boolean;
  readonly concern: Concern | undefined;
}

const commandHint =
  'On that host, run cmd_standby -C FILE --cleanup once: its sentinel then says how cmd_standby is called there.';

function unmarked(mark: LeftTimeline, reason: string): Concern {
  return {
    kind: 'unmarked',
    reason: `it does not know that ${describeLeft(mark)}, and would take WAL of an old primary: ${reason}`,
    hint: commandHint,
  };
}

function untidy(mark: LeftTimeline, reason: string): Concern {
  return {
    kind: 'unmarked',
    reason: `${describeLeft(mark)}, but WAL of an old primary stands in its archive and was not moved aside: ${reason}`,
    hint: commandHint,
  };
}

/** Whether a segment from behind the fork stands there, although the mark forbids it. */
function isHeld(newest: readonly SegmentName[], mark: LeftTimeline, { segmentSize }: Cluster): boolean {
  // Where the size is unknown, the largest one errs on the safe side: to repeat a mark is harmless.
  const layout = { segmentSize: segmentSize ?? 1024 * 1024 * 1024, walSegmentSkipsFF: false };
  return newest.some((name) => reachesPastFork(name, mark, layout));
}

/** The outcome of one question; `unknown`: it was not answered. */
type Outcome =
  { readonly standing: Standing; readonly moved: readonly string[] } | { readonly unknown: string };

function sayMoved({ log }: ArchiverDeps, { name }: Lane, mark: LeftTimeline, moved: readonly string[]): void {
  if (moved.length > 0)
    log.notice(`standby ${name} moved ${moved.length} segments aside: ${describeLeft(mark)}`);
}

/** Sets a mark that its sentinel lacks. */
async function setMark(
  lane: Lane,
  { systemIdentifier: cluster }: Cluster,
  { shell, sentinel: { command } }: Greeting,
  mark: LeftTimeline,
): Promise<Outcome> {
  if (command === undefined) return { unknown: 'its sentinel does not say how cmd_standby is called' };
  const args = { timeline: mark.timeline, lsn: mark.lsn, host: mark.by, cluster };
  const result = await callVerb(besideOf(shell), command, 'mark-left', args, verbLimitMs(lane));
  return result.kind === 'answered' ? result.answer : { unknown: result.reason };
}

/** Has it move aside what stands there against a mark of its own. It sets no mark: this one may be taken back meanwhile. */
async function tidy(
  lane: Lane,
  { systemIdentifier: cluster }: Cluster,
  { shell, sentinel: { command } }: Greeting,
  { timeline }: LeftTimeline,
): Promise<Outcome> {
  if (command === undefined) return { unknown: 'its sentinel does not say how cmd_standby is called' };
  const args = { timeline, cluster };
  const result = await callVerb(besideOf(shell), command, 'check-left', args, verbLimitMs(lane));
  if (result.kind !== 'answered') return { unknown: result.reason };
  const { standing = 'unknown', moved } = result.answer;
  return { standing, moved };
}

/**
 * Takes a mark back, as the operator asked this host to do.
 *
 * @returns whether the standby is without it now
 */
export async function takeBack(
  deps: ArchiverDeps,
  lane: Lane,
  { systemIdentifier }: Cluster,
  { shell, sentinel }: Greeting,
  mark: LeftTimeline,
): Promise<boolean> {
  const { log } = deps;
  const isThere = sentinel.left.some((each) => formatLeft(each) === formatLeft(mark));
  if (isThere) {
    const limitMs = verbLimitMs(lane);
    const args = { timeline: mark.timeline, cluster: systemIdentifier };
    const result =
      sentinel.command === undefined
        ? ({ kind: 'refused', reason: 'its sentinel does not say how cmd_standby is called' } as const)
        : await callVerb(besideOf(shell), sentinel.command, 'unmark-left', args, limitMs);
    if (result.kind !== 'answered') {
      log.warning(`standby ${lane.name} could not be informed that timeline ${mark.timeline} was restored`, {
        detail: result.reason,
      });
      return false;
    }
    log.notice(`standby ${lane.name} takes WAL of timeline ${mark.timeline} again`);
  }
  await noteRestored(deps, lane, mark);
  return true;
}

/** Takes back what it is to forget. @returns its sentinel without that */
async function takeAllBack(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
  own: OwnLeft | undefined,
): Promise<Sentinel> {
  let { sentinel } = greeting;
  for (const mark of await restoredFor(lane)) {
    // Since the operator asked for that, this server has left the timeline for good.
    if (leavesBy(own?.forks ?? [], mark)) await noteRestored(deps, lane, mark);
    else if (await takeBack(deps, lane, cluster, greeting, mark)) {
      const left = sentinel.left.filter((each) => formatLeft(each) !== formatLeft(mark));
      if (left.length < sentinel.left.length) sentinel = { ...sentinel, left };
    }
  }
  return sentinel;
}

/** A mark of this host that its history does not confirm is said once per standby. */
async function sayIgnored(deps: ArchiverDeps, lane: Lane, own: OwnLeft | undefined): Promise<void> {
  for (const { mark, message, hint } of own?.unconfirmed ?? [])
    if (await rememberIgnored(deps, lane, mark)) deps.log.warning(message, { hint });
}

/** The caller holds the lane's lock. `own`: what this server has left itself. */
export async function informLeft(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
  own: OwnLeft | undefined,
): Promise<Informed> {
  await sayIgnored(deps, lane, own);
  // A server in recovery declares nothing left, and takes nothing back, but what stands in the archive against a mark is
  // wrong all the same.
  const sentinel = cluster.isInRecovery
    ? greeting.sentinel
    : await takeAllBack(deps, lane, cluster, greeting, own);
  const now = { ...greeting, sentinel };
  let isChanged = sentinel !== greeting.sentinel;
  let concern: Concern | undefined;
  for (const mark of sentinel.left) {
    if (!isHeld(greeting.newest, mark, cluster)) continue;
    const outcome = await tidy(lane, cluster, now, mark);
    if ('unknown' in outcome) concern = untidy(mark, outcome.unknown);
    else sayMoved(deps, lane, mark, outcome.moved);
  }
  for (const mark of own?.declared ?? []) {
    if (withLeft(sentinel.left, mark) === sentinel.left) continue;
    const outcome = await setMark(lane, cluster, now, mark);
    if ('unknown' in outcome) concern = unmarked(mark, outcome.unknown);
    else {
      sayMoved(deps, lane, mark, outcome.moved);
      await noteStandings(deps, lane, [{ mark, standing: outcome.standing }]);
      isChanged = true;
    }
  }
  return { isChanged, concern };
}
