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
import { callVerb, type VerbResult } from '../../verbs/call.ts';
import type { ArgumentsOf, Standing, VerbName } from '../../verbs/verbs.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { noteEvent } from '../ledger/ledger.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { Lane } from './lane.ts';
import {
  forgetIgnored,
  hushOf,
  noteRestored,
  noteStandings,
  noteUnanswered,
  rememberIgnored,
  restoredFor,
} from './left-state.ts';
import { contradicted, type OwnLeft } from './own-forks.ts';
import { longQuestionMs } from './standing.ts';

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

/** Asks the cmd_standby of one standby. */
type Ask = <Name extends VerbName>(verb: Name, args: ArgumentsOf<Name>) => Promise<VerbResult<Name>>;

/** All questions together end after `limitMs`. */
function asker({ monotonicMs }: ArchiverDeps, { shell, sentinel }: Greeting, limitMs: number): Ask {
  const { command } = sentinel;
  const endMs = monotonicMs() + limitMs;
  return (verb, args) => {
    if (command === undefined)
      return Promise.resolve({
        kind: 'refused',
        reason: 'its sentinel does not say how cmd_standby is called',
      });
    return callVerb(besideOf(shell), command, verb, args, Math.max(1, endMs - monotonicMs()));
  };
}

/** A program that fails at once costs nothing: it may be asked at every greeting. */
const costlyMs = 1_000;

/**
 * If a question without an answer took its time, there are no more for a while: PostgreSQL or the delivery of WAL waits
 * for them.
 */
function hushedAsker(deps: ArchiverDeps, lane: Lane, greeting: Greeting, limitMs: number): Ask {
  const ask = asker(deps, greeting, limitMs);
  return async (verb, args) => {
    const hush = await hushOf(deps, lane);
    if (hush !== undefined) return { kind: 'lost', reason: hush };
    const beganMs = deps.monotonicMs();
    const result = await ask(verb, args);
    if (result.kind !== 'answered' && deps.monotonicMs() - beganMs >= costlyMs)
      await noteUnanswered(deps, lane, result.reason);
    return result;
  };
}

/** Sets a mark that its sentinel lacks. */
async function setMark(ask: Ask, cluster: string, mark: LeftTimeline): Promise<Outcome> {
  const args = { timeline: mark.timeline, lsn: mark.lsn, host: mark.by, cluster };
  const result = await ask('mark-left', args);
  return result.kind === 'answered' ? result.answer : { unknown: result.reason };
}

/** Has it move aside what stands there against a mark of its own. It sets no mark: this one may be taken back meanwhile. */
async function tidy(ask: Ask, cluster: string, { timeline }: LeftTimeline): Promise<Outcome> {
  const result = await ask('check-left', { timeline, cluster });
  if (result.kind !== 'answered') return { unknown: result.reason };
  const { standing = 'unknown', moved } = result.answer;
  return { standing, moved };
}

function sayNotRestored({ log }: ArchiverDeps, { name }: Lane, { timeline }: LeftTimeline, detail: string) {
  log.warning(`standby ${name} could not be informed that timeline ${timeline} was restored`, { detail });
}

async function takeBackBy(
  ask: Ask,
  deps: ArchiverDeps,
  lane: Lane,
  { systemIdentifier: cluster }: Cluster,
  { left }: Sentinel,
  mark: LeftTimeline,
): Promise<boolean> {
  const isThere = left.some((each) => formatLeft(each) === formatLeft(mark));
  if (isThere) {
    const result = await ask('unmark-left', { timeline: mark.timeline, cluster });
    if (result.kind !== 'answered') {
      sayNotRestored(deps, lane, mark, result.reason);
      return false;
    }
    deps.log.notice(`standby ${lane.name} takes WAL of timeline ${mark.timeline} again`);
    await noteEvent(deps, lane, { kind: 'left-taken-back', mark: formatLeft(mark) });
  }
  await noteRestored(deps, lane, mark);
  return true;
}

/**
 * Takes a mark back, as the operator asked this host to do.
 *
 * @returns whether the standby is without it now
 */
export function takeBack(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
  mark: LeftTimeline,
): Promise<boolean> {
  const ask = asker(deps, greeting, Math.max(longQuestionMs, lane.standby.ssh_timeout * 1000));
  return takeBackBy(ask, deps, lane, cluster, greeting.sentinel, mark);
}

/** Takes back what it is to forget, and what contradicts Patroni's leader. @returns its sentinel without that */
async function takeAllBack(
  ask: Ask,
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
  own: OwnLeft | undefined,
): Promise<Sentinel> {
  let { sentinel } = greeting;
  const wrong = own === undefined ? [] : contradicted(own, sentinel.left);
  for (const mark of [...(await restoredFor(lane)), ...wrong]) {
    // Since the operator asked for that, this server has left the timeline for good.
    if (leavesBy(own?.forks ?? [], mark)) await noteRestored(deps, lane, mark);
    else if (own?.unknown !== undefined) sayNotRestored(deps, lane, mark, own.unknown);
    else if (await takeBackBy(ask, deps, lane, cluster, greeting.sentinel, mark)) {
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
  if (own !== undefined && own.declared.length > 0) await forgetIgnored(deps, lane, own.declared);
}

/** While the history of this server cannot be determined, a standby stays without the mark. */
function ignoredConcern({ left }: Sentinel, own: OwnLeft | undefined): Concern | undefined {
  if (own?.unknown === undefined) return undefined;
  const ignored = own.unconfirmed.find(({ mark }) => withLeft(left, mark) !== left);
  return ignored && { kind: 'unmarked', reason: ignored.message, hint: ignored.hint };
}

/**
 * The caller holds the lane's lock. `own`: what this server has left itself; `limitMs`: for all that the standby is
 * asked.
 */
export async function informLeft(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
  own: OwnLeft | undefined,
  limitMs: number,
): Promise<Informed> {
  await sayIgnored(deps, lane, own);
  const ask = hushedAsker(deps, lane, greeting, limitMs);
  const { systemIdentifier } = cluster;
  // A server in recovery declares nothing left, and takes nothing back, but what stands in the archive against a mark is
  // wrong all the same.
  const sentinel = cluster.isInRecovery
    ? greeting.sentinel
    : await takeAllBack(ask, deps, lane, cluster, greeting, own);
  let isChanged = sentinel !== greeting.sentinel;
  let concern = ignoredConcern(sentinel, own);
  for (const mark of sentinel.left) {
    if (!isHeld(greeting.newest, mark, cluster)) continue;
    const outcome = await tidy(ask, systemIdentifier, mark);
    if ('unknown' in outcome) concern = untidy(mark, outcome.unknown);
    else sayMoved(deps, lane, mark, outcome.moved);
  }
  for (const mark of own?.declared ?? []) {
    if (withLeft(sentinel.left, mark) === sentinel.left) continue;
    const outcome = await setMark(ask, systemIdentifier, mark);
    if ('unknown' in outcome) concern = unmarked(mark, outcome.unknown);
    else {
      sayMoved(deps, lane, mark, outcome.moved);
      const { standing, moved } = outcome;
      await noteEvent(deps, lane, { kind: 'left-marked', mark: formatLeft(mark), moved: moved.length });
      await noteStandings(deps, lane, [{ mark, standing }]);
      isChanged = true;
    }
  }
  return { isChanged, concern };
}
