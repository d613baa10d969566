import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../errors.ts';
import { sinceBoot } from '../../system/clock.ts';
import { exists } from '../../system/durable.ts';
import { timeStamp } from '../../system/log.ts';
import { isNotificationDue, notify, type SaidState, type Severity } from '../../system/notify.ts';
import { withdrawProofs } from '../../system/proofs.ts';
import { replaceDurably, reserveSpare } from '../../system/replaceable.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { NewEvent } from '../ledger/events.ts';
import { noteEvent } from '../ledger/ledger.ts';
import { withdrawMarkers } from '../markers/markers.ts';
import { leaveNews } from '../markers/news.ts';
import { shipperPlaces } from '../markers/places.ts';
import { listQueue, removeFromQueue } from '../queue/queue.ts';
import type { Lane } from './lane.ts';
import {
  type Abandoned,
  type CaughtUp,
  describeLack,
  fresh,
  type Gap,
  hasAllWal,
  type Health,
  type Lack,
  type LaneState,
  readLaneState,
  severities,
} from './state.ts';

// The states of a lane. Nothing else writes its state file, and every caller holds the lane's lock.
//
// ok         The standby has all WAL. New files are sent directly from pg_wal: by the shipper, or by -F as PostgreSQL asks.
// behind     It answers, and its queue is being sent. New files go into the queue, so that the standby gets WAL in order.
// (concern)  As ok, but an operator must know something of that standby: the state bears the name of the concern.
// (trouble)  It does not accept WAL: the state bears the name of the trouble. New files are queued, and the standby is left
//            alone until `retryAt` (policy.ts). The next try that succeeds makes it behind, or ok.
// unsafe     The WAL could not be queued either: PostgreSQL keeps it. This ends when the file is queued or delivered, or when
//            `queue_full: abandon` ends it.
// abandoned  By the operator or by policy, from any other state. The queue is freed; its files and all later ones count as
//            lost. It ends by --resume, or by a request of the standby that was not seen before: then the lane is behind.
//
// Beside this, `caughtUp` is the proof that the standby has all WAL from its restartpoint on, and `gap` is what exists nowhere
// here. The proof ends when the standby is abandoned, when the INI file no longer names it, and when this server is started,
// is in recovery, or writes another timeline.
//
// A marker says that every standby has a copy, so an abandonment has an order: all markers are withdrawn; the state is
// written; markers are withdrawn once more, because the shipper may have left others before it could see the state; then the
// files are removed. If we are killed in between, the next call frees the rest and counts it.

/** The space for a state is limited: a reason with long quotations is cut. */
const longestReason = 1_500;

/** This also works on a full disk: notifications and abandonments must not be forgotten there. */
async function writeLaneState({ stateFile }: Lane, state: LaneState): Promise<void> {
  const reason = state.reason?.slice(0, longestReason);
  const text = JSON.stringify({ ...state, reason }, undefined, 2);
  await replaceDurably(stateFile, text);
}

/** Makes the file, and the space for the next one, before the disk is ever full. `-I` begins a lane in this way. */
export async function beginLaneState(lane: Lane): Promise<void> {
  if (await exists(lane.stateFile)) await reserveSpare(lane.stateFile);
  else await writeLaneState(lane, fresh);
}

/**
 * The same for a lane that exists already. Only `-I` and a delivery may make the file itself, because it is a trace of
 * them.
 */
export async function reserveLaneState({ stateFile }: Lane): Promise<void> {
  if (await exists(stateFile)) await reserveSpare(stateFile);
}

/** The condition of a lane, and the file that showed it. */
export interface Finding extends Pick<
  LaneState,
  'health' | 'reason' | 'refusedFor' | 'retryAt' | 'seenRequest'
> {
  /** The name of the file that was to be shipped, if there was one. */
  readonly segment?: string | undefined;
}

const sentences: Readonly<Partial<Record<Health, (standby: string) => string>>> = {
  ok: (standby) => `standby ${standby} takes WAL again, and its queue is empty`,
  behind: (standby) => `standby ${standby} is behind`,
  unsafe: (standby) => `WAL for standby ${standby} could neither be sent nor queued`,
  diverged: (standby) => `standby ${standby} takes WAL, but has diverged and needs a new base backup`,
  unmarked: (standby) => `standby ${standby} takes WAL, but does not know of a timeline that was left`,
  abandoned: (standby) => `standby ${standby} is abandoned and needs a new base backup`,
};

/** The condition of a standby for people: lower case, no full stop. */
export function sentenceOf(standby: string, { health, reason }: Pick<Finding, 'health' | 'reason'>): string {
  const sentence = sentences[health]?.(standby) ?? `WAL for standby ${standby} is queued`;
  return reason === undefined ? sentence : `${sentence}: ${reason}`;
}

/** The modes that PostgreSQL's log distinguishes: another trouble of the same standby is no news there. */
function modeOf(health: Health): 'delivers' | 'queues' | 'keeps' | 'abandoned' {
  if (hasAllWal(health)) return 'delivers';
  if (health === 'abandoned') return health;
  return health === 'unsafe' ? 'keeps' : 'queues';
}

async function leaveNewsOf(deps: ArchiverDeps, { name }: Lane, finding: Finding, nowMs: number) {
  const level = finding.health === 'ok' ? 'notice' : 'warning';
  await leaveNews(deps, level, sentenceOf(name, finding), timeStamp(nowMs));
}

async function sendNotification(
  deps: ArchiverDeps,
  { name, queue }: Lane,
  severity: Severity,
  finding: Finding,
): Promise<void> {
  const queued = await listQueue(queue).catch(() => []);
  notify(deps, deps.settings, {
    severity,
    name: 'standby',
    about: name,
    message: sentenceOf(name, finding),
    facts: {
      program: 'cmd_archiver',
      standby: name,
      segment: finding.segment ?? '',
      queue_length: queued.length,
    },
  });
}

const compared = [
  'health',
  'reason',
  'refusedFor',
  'retryAt',
  'sinceMoment',
  'seenRequest',
  'abandoned',
] as const;

function isSame(before: LaneState, after: LaneState): boolean {
  return compared.every((field) => before[field] === after[field]);
}

function nextState(deps: ArchiverDeps, before: LaneState, finding: Finding, nowMs: number): LaneState {
  const { abandoned, said, freed, caughtUp, gap } = before;
  const isOld = finding.health === before.health;
  const isKnown = isOld && sinceBoot(deps, before.sinceMoment) !== undefined;
  return {
    health: finding.health,
    since: isOld ? before.since : new Date(nowMs).toISOString(),
    sinceMoment: isKnown ? before.sinceMoment : deps.moment(),
    reason: finding.reason,
    refusedFor: finding.refusedFor,
    retryAt: finding.retryAt,
    seenRequest: finding.seenRequest ?? before.seenRequest,
    said,
    freed,
    caughtUp,
    gap,
    abandoned: finding.health === 'abandoned' ? abandoned : undefined,
  };
}

/**
 * Notes the condition of the lane, and notifies the operator of a change. `before` is the content of the state file.
 * We notify first and write then: if we are killed in between, the next call repeats the notification, rather than
 * losing it.
 *
 * @returns the last notification, for callers that can remember it although the disk cannot
 */
export async function recordFinding(
  deps: ArchiverDeps,
  lane: Lane,
  before: LaneState,
  finding: Finding,
): Promise<SaidState | undefined> {
  const nowMs = deps.now();
  const severity = severities[finding.health];
  const isDue = isNotificationDue(before.said, severity, nowMs / 1000, deps.settings.notify_reminder);
  const after = nextState(deps, before, finding, nowMs);
  if (isDue) await sendNotification(deps, lane, severity, finding);
  const said = isDue ? { severity, lastNotified: Math.floor(nowMs / 1000) } : before.said;
  if (!isDue && isSame(before, after)) return said;
  try {
    await writeLaneState(lane, { ...after, said });
    if (modeOf(before.health) !== modeOf(finding.health)) await leaveNewsOf(deps, lane, finding, nowMs);
  } catch (error) {
    // The outcome of the WAL is known by now: a state that cannot be noted must not turn it into a failure.
    deps.log.warning(`cannot note the state of standby ${lane.name}: ${messageOf(error)}`);
  }
  return said;
}

/**
 * Notes a resume request of a standby that is not abandoned. A killed base backup leaves one behind, which must not
 * end a later abandonment.
 */
export async function noteRequest(deps: ArchiverDeps, lane: Lane, request: string): Promise<void> {
  const state = await readLaneState(lane);
  if (state.abandoned !== undefined || state.seenRequest === request) return;
  try {
    await writeLaneState(lane, { ...state, seenRequest: request });
    await noteEvent(deps, lane, { kind: 'backup-begun' });
  } catch (error) {
    // This failure hinders no delivery.
    deps.log.warning(`cannot note the resume request of standby ${lane.name}: ${messageOf(error)}`);
  }
}

export function rangeOf({ firstLost, lastLost }: Abandoned): string {
  if (firstLost === undefined || lastLost === undefined) return 'nothing was lost yet';
  return `lost: ${firstLost} to ${lastLost}`;
}

function lostOf({ firstLost, lastLost }: Abandoned): { readonly first?: string; readonly last?: string } {
  return firstLost === undefined || lastLost === undefined ? {} : { first: firstLost, last: lastLost };
}

/** The state with `names` counted among the WAL that the standby will never get. */
export function withLost(abandoned: Abandoned, names: readonly string[]): Abandoned {
  const known = [abandoned.firstLost, abandoned.lastLost].filter((name) => name !== undefined);
  const all = [...known, ...names].sort();
  return { ...abandoned, firstLost: all[0], lastLost: all.at(-1) };
}

/** Marks a standby as abandoned and frees its queue, in the order described above. */
async function markAndFree(
  deps: ArchiverDeps,
  lane: Lane,
  state: LaneState,
  before: Abandoned,
): Promise<LaneState & { readonly abandoned: Abandoned }> {
  const places = shipperPlaces(deps.layout);
  // A catch-up that is under way can then prove nothing.
  await withdrawProofs(deps.log, deps.layout.privateDirectory, (standby) => standby === lane.name);
  const queued = await listQueue(lane.queue);
  const names = queued.map(({ text }) => text);
  const lost = {
    ...state,
    health: 'abandoned',
    abandoned: withLost(before, names),
    caughtUp: undefined,
  } as const;
  if (queued.length === 0 && state.abandoned !== undefined) {
    await writeLaneState(lane, lost);
    return lost;
  }
  const marked = { ...lost, freed: deps.nonce() };
  await withdrawMarkers(places);
  await writeLaneState(lane, marked);
  await withdrawMarkers(places);
  await removeFromQueue(lane.queue, queued);
  return marked;
}

export interface Abandonment {
  readonly by: Abandoned['by'];
  /** The files that the standby does not get, beside its queue. */
  readonly names: readonly string[];
  readonly why?: string;
  /** Until when the standby is not asked for a resume request; without it, as before. */
  readonly rest?: Pick<LaneState, 'retryAt'> | undefined;
}

/**
 * Abandons a standby, or counts more files among what an abandoned one has lost.
 *
 * @returns the abandonment as it is noted
 */
export async function abandonLane(
  deps: ArchiverDeps,
  lane: Lane,
  { by, names, why, rest }: Abandonment,
): Promise<Abandoned> {
  // Read only now: the attempt before may have noted a resume request, which must not end this abandonment.
  const state = await readLaneState(lane);
  const since = new Date(deps.now()).toISOString();
  const marked = await markAndFree(deps, lane, state, withLost(state.abandoned ?? { since, by }, names));
  const range = rangeOf(marked.abandoned);
  if (state.abandoned === undefined)
    await noteEvent(deps, lane, {
      kind: 'abandoned',
      by,
      ...lostOf(marked.abandoned),
      ...(why ? { why } : {}),
    });
  // The previous condition decides whether this is news, and since when it has been so.
  await recordFinding(
    deps,
    lane,
    { ...marked, health: state.health },
    {
      health: 'abandoned',
      reason: why === undefined ? range : `${why} (${range})`,
      retryAt: state.abandoned === undefined ? undefined : (rest ?? state).retryAt,
      segment: names.at(-1),
    },
  );
  return marked.abandoned;
}

/** Counts files that an abandoned standby does not get. A standby that was resumed meanwhile stays resumed. */
export async function countLost(
  deps: ArchiverDeps,
  lane: Lane,
  names: readonly string[],
  rest?: Abandonment['rest'],
): Promise<void> {
  const { abandoned } = await readLaneState(lane);
  if (abandoned !== undefined) await abandonLane(deps, lane, { by: abandoned.by, names, rest });
}

/** @param request the one that ends the abandonment, or the last one before the operator ended it */
export async function resumeLane(
  deps: ArchiverDeps,
  lane: Lane,
  { said, freed, gap, abandoned, seenRequest }: LaneState,
  request: string | undefined,
): Promise<LaneState> {
  // Without a proof of what the standby has: it must be asked.
  const resumed: LaneState = { health: 'behind', reason: 'resumed', said, freed, gap, seenRequest: request };
  await writeLaneState(lane, resumed);
  if (abandoned !== undefined) {
    const by = request === seenRequest ? 'operator' : 'standby';
    await noteEvent(deps, lane, { kind: 'resumed', by, since: abandoned.since, ...lostOf(abandoned) });
  }
  return resumed;
}

export function gapSentence(standby: string, gap: Pick<Gap, 'missing' | 'conflicts' | 'unread'>): string {
  return `standby ${standby} ${describeLack(gap).join('. It also ')}`;
}

interface Caught {
  readonly caughtUp: CaughtUp;
  readonly lack: Lack;
}

/** The gap with the time of its notification, after the operator was notified if that is due. */
async function tellGap(
  deps: ArchiverDeps,
  { name }: Lane,
  before: Gap | undefined,
  { missing, conflicts, unread }: Lack,
): Promise<Gap | undefined> {
  const lacks = missing.length > 0 || conflicts.length > 0;
  if (before === undefined && !lacks) return undefined;
  const nowMs = deps.now();
  const severity = lacks ? 'critical' : 'ok';
  const message = lacks
    ? gapSentence(name, { missing, conflicts, unread })
    : `standby ${name} lacks no WAL any more`;
  const said = before?.said;
  const isDue = isNotificationDue(said, severity, nowMs / 1000, deps.settings.notify_reminder);
  if (isDue) {
    const facts = {
      program: 'cmd_archiver' as const,
      standby: name,
      segment: missing[0]?.first ?? conflicts[0]?.name ?? '',
    };
    notify(deps, deps.settings, { severity, name: 'gap', about: name, message, facts });
  }
  const level = lacks ? 'warning' : 'notice';
  if ((before === undefined) === lacks) {
    deps.log[level](message);
    await leaveNews(deps, level, message, timeStamp(nowMs));
  }
  if (!lacks) return undefined;
  const since = before?.since ?? new Date(nowMs).toISOString();
  return {
    missing,
    ...(conflicts.length > 0 ? { conflicts } : {}),
    ...(unread === undefined ? {} : { unread }),
    since,
    said: isDue ? { severity, lastNotified: Math.floor(nowMs / 1000) } : said,
  };
}

/** Notes the end of a catch-up: what is proved, and what the standby lacks for good. */
export async function noteCatchUp(deps: ArchiverDeps, lane: Lane, { caughtUp, lack }: Caught): Promise<void> {
  const state = await readLaneState(lane);
  // Abandoned meanwhile, which ends every proof.
  if (state.abandoned !== undefined) return;
  const gap = await tellGap(deps, lane, state.gap, lack);
  const after = { ...state, caughtUp, gap };
  if (isDeepStrictEqual(after, state)) return;
  await writeLaneState(lane, after);
  await noteLedgerOf(deps, lane, state, after);
}

async function noteLedgerOf(
  deps: ArchiverDeps,
  lane: Lane,
  before: LaneState,
  { caughtUp, gap }: LaneState,
): Promise<void> {
  const lackOf = (one: Gap | undefined) => one && { missing: one.missing, conflicts: one.conflicts };
  if (!isDeepStrictEqual(lackOf(before.gap), lackOf(gap))) {
    const conflicts = gap?.conflicts?.map(({ name }) => name) ?? [];
    const event: NewEvent =
      gap === undefined ? { kind: 'gap-closed' } : { kind: 'gap', missing: gap.missing, conflicts };
    await noteEvent(deps, lane, event);
  }
  if (caughtUp === undefined || isDeepStrictEqual(before.caughtUp, caughtUp)) return;
  const { timeline, hasNoData } = caughtUp;
  await noteEvent(deps, lane, { kind: 'caught-up', timeline, ...(hasNoData ? { hasNoData } : {}) });
}
