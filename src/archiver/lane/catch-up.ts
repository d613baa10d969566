import { append } from '../../lists.ts';
import { formatLsn, parseLsn } from '../../postgres/lsn.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { readIfExists, writeDurably } from '../../system/durable.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { besideOf } from '../../system/ssh-beside.ts';
import { callVerb } from '../../verbs/call.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import { readArchiveWal } from '../wal/archive-wal.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { lookForOwnArchive } from '../wal/own-archive.ts';
import { type OwnWal, readOwnWal, readRun } from '../wal/own-wal.ts';
import { boundRanges, type Holdings, type Lacking, planCatchUp, rangesOf } from './catch-up-plan.ts';
import type { Lane } from './lane.ts';
import type { CaughtUp, Conflict, Lack, LaneState } from './state.ts';

// A standby of which it is not known what it has is asked for it, and gets what it lacks (doc/shipping.md, "Catch-up"). This
// happens in passes: the standby is asked, the files that it lacks are sent, and it is asked again. Only its own answer
// proves that it has them. A file that was found nowhere in two passes belongs to a gap.

/** The facts that are known while one standby catches up. */
export interface CatchUp {
  readonly own: OwnWal;
  /** See proofOf. */
  readonly token: string;
  readonly cluster: Cluster;
  /** The directories in which files are looked for. */
  readonly directories: readonly string[];
  /** The location from which on the standby is asked: an answer is limited. */
  from: bigint;
  /** Where the last answer ended; undefined if it was complete. */
  incompleteFrom: bigint | undefined;
  /** The files that the last answer lacks and that were not dealt with yet; undefined before the first one. */
  pending: readonly Lacking[] | undefined;
  /** How many files of this pass were sent, and how many come by themselves. */
  sent: number;
  coming: number;
  /** How often the standby was asked in vain about files that come by themselves. */
  waits: number;
  /** The files that were sent in this or an earlier pass. */
  readonly sentNames: Set<string>;
  /** The files of this pass that are nowhere, and those of the pass before. */
  missing: WalName[];
  missedBefore: ReadonlySet<string>;
  /** The files before `from` that were found nowhere. */
  readonly gap: WalName[];
  /** The files that are not sent, because the standby has another one under that name; and why it is another. */
  readonly conflicts: Map<string, string>;
  /** Why the archive that this host had as a standby could not be looked into; undefined if it was, or there is none. */
  readonly unseenArchive?: string | undefined;
  /** The files that were not found, although a place could not be read where they may be; and why. */
  readonly unread: Map<string, string>;
}

/** Where the timeline branched off. */
function forkOf({ timeline, histories }: OwnWal): string {
  const parent = histories.get(timeline)?.at(-1);
  if (parent === undefined) return '';
  const { end } = parent;
  return `${parent.timeline} ${end.kind === 'lsn' ? formatLsn(end.lsn) : end.segment.text}`;
}

async function readToken({ proofFile }: Lane): Promise<string | undefined> {
  return (await readIfExists(proofFile))?.toString('utf8');
}

/** Whether the proof, if there is one, was neither withdrawn nor noted before the server was started. */
export async function isProofInForce(lane: Lane, { caughtUp }: LaneState, pgdata: string): Promise<boolean> {
  if (caughtUp === undefined || caughtUp.run !== (await readRun(pgdata))) return false;
  return caughtUp.token === (await readToken(lane));
}

/** Whether the standby was seen to have all WAL of this server that it can get, or to have no data. */
export async function isProved(lane: Lane, { caughtUp }: LaneState, own: OwnWal): Promise<boolean> {
  if (caughtUp?.timeline !== own.timeline || caughtUp.fork !== forkOf(own)) return false;
  return caughtUp.run === own.run && caughtUp.token === (await readToken(lane));
}

/** Whether it must be asked what the standby has. */
export async function owesCatchUp(lane: Lane, state: LaneState, own: OwnWal): Promise<boolean> {
  if (state.gap !== undefined || state.caughtUp?.hasNoData === true) return true;
  return !(await isProved(lane, state, own));
}

/** The WAL of this server; undefined if it cannot be determined what it has, or if it must not give any. */
export async function findOwnWal(deps: ArchiverDeps): Promise<OwnWal | undefined> {
  const { pgdata, state } = deps.settings;
  // Offline: queues are drained, but nothing else is taken.
  if (state === 'offline') return undefined;
  const cluster = await readCluster(pgdata);
  return cluster.isInRecovery ? undefined : readOwnWal(pgdata, cluster);
}

/** One that exists stays: since it was made, nothing was archived without this standby. */
async function takeToken({ nonce }: ArchiverDeps, lane: Lane): Promise<string> {
  const present = await readToken(lane);
  if (present !== undefined) return present;
  const made = nonce();
  await writeDurably(lane.proofFile, made);
  return made;
}

/**
 * Undefined if this server must not give any WAL now.
 *
 * @param cluster the one that l_archivedir is bound to
 */
export async function beginCatchUp(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
): Promise<CatchUp | undefined> {
  // First: what is archived without the standby from now on withdraws it.
  const token = await takeToken(deps, lane);
  const { relayedFrom } = cluster;
  const own =
    relayedFrom === undefined
      ? await findOwnWal(deps)
      : await readArchiveWal(deps.settings.pgdata, relayedFrom, cluster);
  if (own === undefined) return undefined;
  const archive =
    relayedFrom === undefined ? await lookForOwnArchive(deps, cluster) : ({ kind: 'none' } as const);
  const archivedir = archive.kind === 'known' ? archive.archivedir : undefined;
  return {
    own,
    token,
    cluster,
    directories: [own.directory, relayedFrom === undefined ? archivedir : lane.queue].filter(
      (directory) => directory !== undefined,
    ),
    from: 0n,
    incompleteFrom: undefined,
    pending: undefined,
    sent: 0,
    coming: 0,
    waits: 0,
    sentNames: new Set(),
    missing: [],
    missedBefore: new Set(),
    gap: [],
    conflicts: new Map(),
    unseenArchive: archive.kind === 'unknown' ? archive.reason : undefined,
    unread: new Map(),
  };
}

/** Node has to start there, and to look at each file. */
const shortestAnswerMs = 60_000;

export type Asked =
  | { readonly kind: 'holds'; readonly holdings: Holdings }
  | { readonly kind: 'no-data' }
  | { readonly kind: 'unknown'; readonly reason: string };

function readAnswer(answer: AnswerOf<'list'>, { systemIdentifier }: Cluster): Asked {
  const { restartpoint, names, own = [], faulty = [] } = answer;
  if (answer.server === 'no-data') return { kind: 'no-data' };
  if (restartpoint === undefined) return unknown('it cannot determine its restartpoint');
  if (answer.systemIdentifier !== systemIdentifier)
    return unknown(`its data directory is of cluster ${answer.systemIdentifier ?? 'unknown'}`);
  if (names === undefined) return unknown('its archivedir cannot be relied on');
  return {
    kind: 'holds',
    holdings: {
      restartpoint: { timeline: restartpoint.timeline, lsn: parseLsn(restartpoint.lsn) },
      names: new Set(names),
      own: new Set(own),
      faulty: new Map(faulty.map(({ name, reason }) => [name, quoted(reason)])),
      incompleteFrom: answer.incompleteFrom === undefined ? undefined : parseLsn(answer.incompleteFrom),
    },
  };
}

function unknown(reason: string): Asked {
  return { kind: 'unknown', reason };
}

/** Asks the standby what it has, beside what the connection is doing. */
export async function askHoldings(
  delivery: Delivery,
  command: StandbyCommand,
  { from, cluster }: CatchUp,
): Promise<Asked> {
  const limitMs = Math.max(shortestAnswerMs, delivery.standby.ssh_timeout * 1000);
  const result = await callVerb(besideOf(delivery.shell), command, 'list', { from }, limitMs);
  return result.kind === 'answered' ? readAnswer(result.answer, cluster) : unknown(result.reason);
}

/** Begins a pass with the standby's answer. Returns why there can be none. */
export function takeHoldings(catchUp: CatchUp, holdings: Holdings): string | undefined {
  const plan = planCatchUp(catchUp.own, holdings, catchUp.from);
  if (plan.kind === 'off-path') return plan.reason;
  const { conflicts } = catchUp;
  for (const name of conflicts.keys()) if (holdings.names.has(name)) conflicts.delete(name);
  for (const { name } of plan.files) {
    const reason = holdings.faulty.get(name.text);
    if (reason !== undefined) conflicts.set(name.text, reason);
  }
  catchUp.pending = plan.files.filter(({ name }) => !conflicts.has(name.text));
  catchUp.incompleteFrom = holdings.incompleteFrom;
  catchUp.sent = 0;
  catchUp.coming = 0;
  catchUp.missing = [];
  return undefined;
}

export type PassEnd =
  | { readonly kind: 'ask-again' }
  /** The standby waits for files that come by themselves. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'caught-up' };

/** Determines what follows once nothing of this pass is pending. */
export function endPass(catchUp: CatchUp): PassEnd {
  const { missing, missedBefore, sent, coming, gap, incompleteFrom } = catchUp;
  const isConfirmed = missing.every(({ text }) => missedBefore.has(text));
  catchUp.missedBefore = new Set(missing.map(({ text }) => text));
  catchUp.pending = undefined;
  if (sent > 0 || !isConfirmed) return { kind: 'ask-again' };
  if (coming > 0) {
    catchUp.waits += 1;
    return { kind: 'wait' };
  }
  append(gap, missing);
  if (incompleteFrom === undefined) return { kind: 'caught-up' };
  catchUp.from = incompleteFrom;
  catchUp.missedBefore = new Set();
  return { kind: 'ask-again' };
}

/** The proof for the lane's state. */
export function proofOf({ own, token }: CatchUp): CaughtUp {
  return { timeline: own.timeline, fork: forkOf(own), run: own.run, token };
}

/** The most files that are remembered with the reason why each is another. */
const mostConflicts = 5;
const longestReason = 300;

export function lackOf({ gap, conflicts, own, unread, unseenArchive }: CatchUp): Lack {
  const some: Conflict[] = [...conflicts].slice(0, mostConflicts).map(([name, reason]) => ({
    name,
    reason: reason.slice(0, longestReason),
  }));
  const unreadHere = gap.map(({ text }) => unread.get(text)).find((reason) => reason !== undefined);
  const why = gap.length === 0 ? undefined : (unreadHere ?? unseenArchive)?.slice(0, longestReason);
  return {
    missing: boundRanges(rangesOf(gap, own.layout)),
    conflicts: some,
    ...(why === undefined ? {} : { unread: why }),
  };
}
