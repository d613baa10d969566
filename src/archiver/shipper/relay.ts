/**
 * Feeds other standbys while this host is itself one (cascading). The source is its archivedir, so that it works in every
 * release and for a standby that only reads its archive. A standby gets each new file, after the marks of left timelines; it
 * is asked what it has at the beginning, after a trouble and once a minute, and gets what it lacks.
 */
import { setMaxListeners } from 'node:events';
import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../errors.ts';
import { formatLeft } from '../../postgres/left-timeline.ts';
import { compareWalNames, parseWalName, type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { pollAbandoned } from '../lane/abandonment.ts';
import { beginCatchUp } from '../lane/catch-up.ts';
import { nextCatchUpBatch, sendCatchUpBatch } from '../lane/catch-up-batch.ts';
import { type CatchUpEnd, catchUpToEnd, describeEnd } from '../lane/catch-up-to-end.ts';
import { withDelivery } from '../lane/connect.ts';
import { type Lane, lanesOf, withLaneLock } from '../lane/lane.ts';
import { noteRequest, recordFinding } from '../lane/modes.ts';
import { findingOf, restMs, troubleOfError } from '../lane/policy.ts';
import { batchBytes, batchFiles, transferLimitMs } from '../lane/send.ts';
import { readLaneState, wellBut } from '../lane/state.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { lookForOwnArchive, type OwnArchive } from '../wal/own-archive.ts';
import type { SeenFile } from '../wal/wal-file.ts';
import { createWakeUp, type WakeUp } from './signal.ts';
import { controlFileOf, lookUntilStop, standbyStop, type Stop } from './stop.ts';
import { watchDirectory } from './watch.ts';

/** How often the archive is looked at without an event. */
const lookMs = 5_000;
/** The pause after a round in which nothing was sent. */
const pausesMs = {
  nothing: lookMs,
  /** Another process holds the lane. */
  busy: 1_000,
  /** The standby is asked whether it wants WAL again. */
  abandoned: 10_000,
} as const;
/** How often a standby is asked whether it still has everything. */
const quietMs = 60_000;
/** Where the archive is fed quickly, a round takes all that came meanwhile. */
const shortestRoundMs = 500;
const lockWaitMs = 5_000;
/** At a promotion the others wait no longer than this for a standby that hangs. */
const shutdownGraceMs = 5_000;

interface Relay {
  readonly deps: ArchiverDeps;
  readonly cluster: Cluster;
  readonly archivedir: string;
  readonly stop: AbortSignal;
  readonly wakeUps: Map<string, WakeUp>;
}

/** Changes with everything that a standby may have to get or to know. */
async function newsOf({ archivedir }: Relay): Promise<string> {
  const names = (await readdir(archivedir)).filter((name) => parseWalName(name).kind !== 'not-wal');
  const left = (await readSentinel(archivedir))?.left ?? [];
  return [...names.sort(), ...left.map((mark) => formatLeft(mark))].join(' ');
}

type Round = { readonly trouble: Trouble | undefined } | keyof typeof pausesMs;

/** The progress with one standby, as long as this process serves it. */
interface Progress {
  /** The files that it has confirmed, and those that stood in the archive at the beginning. */
  readonly known: Set<string>;
  /** New files that it refused, because it holds others under these names, and why: tried again when it is asked. */
  readonly refused: Map<string, string>;
  /** When it was asked last what it has; undefined if it must be asked at once. */
  askedMs: number | undefined;
  said: string;
}

function sayEnd({ deps }: Relay, { name }: Lane, end: CatchUpEnd, progress: Progress): void {
  const sentence = describeEnd(end) ?? '';
  if (sentence !== progress.said && sentence !== '') deps.log.notice(`standby ${name}: ${sentence}`);
  progress.said = sentence;
}

/** Sends the files that have come since the beginning, also to a standby that has no data yet: its base backup waits for them. */
export async function sendNew(
  { deps, cluster }: Pick<Relay, 'deps' | 'cluster'>,
  lane: Lane,
  delivery: Delivery,
  names: readonly WalName[],
  { refused }: Pick<Progress, 'refused'>,
): Promise<Trouble | undefined> {
  const sending = names.length === 0 ? undefined : await beginCatchUp(deps, lane, cluster);
  if (sending === undefined) return undefined;
  sending.pending = names.map((name) => ({ name, isOptional: true }));
  for (;;) {
    deps.signal.throwIfAborted();
    const batch = await nextCatchUpBatch(deps, lane, sending, { files: batchFiles, bytes: batchBytes });
    if (batch === undefined) return undefined;
    const limitMs = transferLimitMs(batch);
    const { delivered, trouble } = await sendCatchUpBatch(deps, delivery, sending, batch, limitMs);
    if (trouble !== undefined) return trouble;
    const [first, ...behind] = batch.files.slice(delivered.length);
    const reason = first && sending.conflicts.get(first.name.text);
    if (first === undefined || reason === undefined) continue;
    // No answer of the standby shows it: the name is there. Those behind it go their way.
    refused.set(first.name.text, reason);
    const again = behind.map(({ name }) => ({ name, isOptional: true }));
    sending.pending = [...again, ...sending.pending];
  }
}

/** History files first: the WAL behind a fork cannot be replayed without them. */
function inOrder(a: WalName, b: WalName): number {
  const [historyA, historyB] = [a.kind === 'history', b.kind === 'history'];
  if (historyA !== historyB) return historyA ? -1 : 1;
  return compareWalNames(a, b);
}

async function converse(
  relay: Relay,
  lane: Lane,
  delivery: Delivery,
  progress: Progress,
): Promise<Trouble | undefined> {
  const { deps, cluster, archivedir } = relay;
  const { known, refused } = progress;
  const nowMs = deps.monotonicMs();
  const isDue = progress.askedMs === undefined || nowMs - progress.askedMs >= quietMs;
  if (isDue) {
    for (const name of refused.keys()) known.delete(name);
    refused.clear();
  }
  const fresh = walNamesAmong(await readdir(archivedir))
    .filter(({ text }) => !known.has(text))
    .sort(inOrder);
  const trouble = await sendNew(relay, lane, delivery, fresh, progress);
  if (trouble !== undefined) return trouble;
  for (const { text } of fresh) known.add(text);
  const [reason] = refused.values();
  const conflict: Trouble | undefined = reason === undefined ? undefined : { kind: 'conflict', reason };
  if (!isDue) return conflict;
  const end = await catchUpToEnd(deps, lane, cluster, delivery);
  sayEnd(relay, lane, end, progress);
  if (end.kind === 'trouble') return end.trouble;
  progress.askedMs = nowMs;
  return conflict;
}

async function round(relay: Relay, lane: Lane, progress: Progress): Promise<Round> {
  const { deps, archivedir } = relay;
  // The server may have followed another timeline since the last round.
  const cluster = {
    ...(await readCluster(deps.settings.pgdata)),
    isInRecovery: false,
    relayedFrom: archivedir,
  };
  const before = await pollAbandoned(deps, lane, cluster, await readLaneState(lane), []);
  if (before === undefined) return 'abandoned';
  const began = deps.monotonicMs();
  const use = await withDelivery(deps, lane, cluster, [], async (delivery, request) => {
    if (request !== undefined) await noteRequest(deps, lane, request);
    const trouble = await converse({ ...relay, cluster }, lane, delivery, progress);
    return { trouble, concern: delivery.concern };
  });
  // A transfer that this stop has ended is no trouble of the standby.
  deps.signal.throwIfAborted();
  const { trouble, concern } = use.kind === 'used' ? use.value : { trouble: use.trouble, concern: undefined };
  const finding =
    trouble === undefined ? wellBut(concern) : findingOf(deps, before, trouble, deps.monotonicMs() - began);
  await recordFinding(deps, lane, await readLaneState(lane), finding);
  return { trouble };
}

/** Notes the trouble of a standby that gets nothing, which notifies the operator once. The lane's lock is held. */
async function noteTrouble(deps: ArchiverDeps, lane: Lane, trouble: Trouble): Promise<void> {
  const before = await readLaneState(lane);
  if (before.abandoned !== undefined) return;
  await recordFinding(deps, lane, before, findingOf(deps, before, trouble, 0));
}

/** An error is one more trouble of which the operator must know. The lane's lock is held. */
async function roundNoted(relay: Relay, lane: Lane, progress: Progress): Promise<Round> {
  const { deps, stop } = relay;
  try {
    return await round(relay, lane, progress);
  } catch (error) {
    if (stop.aborted) return 'nothing';
    const trouble = troubleOfError(deps.log, error);
    await noteTrouble(deps, lane, trouble);
    return { trouble };
  }
}

async function roundSafely(relay: Relay, lane: Lane, progress: Progress): Promise<Round> {
  const { deps, stop } = relay;
  try {
    return await withLaneLock(
      deps,
      lane,
      lockWaitMs,
      () => roundNoted(relay, lane, progress),
      () => Promise.resolve('busy' as const),
    );
  } catch (error) {
    if (stop.aborted) return 'nothing';
    return { trouble: troubleOfError(deps.log, error) };
  }
}

/** Serves one standby until the relay stops. */
async function relayTo(relay: Relay, lane: Lane): Promise<void> {
  const { deps, stop, wakeUps } = relay;
  const wakeUp = createWakeUp();
  wakeUps.set(lane.name, wakeUp);
  const names = walNamesAmong(await readdir(relay.archivedir).catch(() => []));
  const progress: Progress = {
    known: new Set(names.map(({ text }) => text)),
    refused: new Map(),
    askedMs: undefined,
    said: '',
  };
  let told = '';
  let troubleSinceMs: number | undefined;
  let served: string | undefined;
  let servedMs = -Infinity;
  while (!stop.aborted) {
    const news = await newsOf(relay).catch((error: unknown) => {
      deps.log.warning(`the archive of this host cannot be read: ${messageOf(error)}`);
      return served;
    });
    if (news === served && deps.monotonicMs() - servedMs < quietMs) {
      await wakeUp.wait(lookMs);
      continue;
    }
    const result = await roundSafely(relay, lane, progress);
    if (typeof result === 'string') {
      await wakeUp.wait(pausesMs[result]);
      continue;
    }
    const { trouble } = result;
    if (trouble === undefined) {
      [served, servedMs, troubleSinceMs, told] = [news, deps.monotonicMs(), undefined, ''];
      await wakeUp.wait(shortestRoundMs);
      continue;
    }
    if (trouble.kind !== 'conflict') progress.askedMs = undefined;
    if (told !== trouble.reason) deps.log.warning(`standby ${lane.name}: ${trouble.reason}`);
    told = trouble.reason;
    troubleSinceMs ??= deps.monotonicMs();
    const troubleMs = deps.monotonicMs() - troubleSinceMs;
    await wakeUp.wait(restMs({ kind: trouble.kind, troubleMs, waitedMs: 0 }));
  }
}

async function noteFree(deps: ArchiverDeps, lane: Lane, trouble: Trouble): Promise<void> {
  const note = (): Promise<void> => noteTrouble(deps, lane, trouble);
  await withLaneLock(deps, lane, lockWaitMs, note, () => Promise.resolve()).catch((error: unknown) => {
    deps.log.warning(`cannot note the state of standby ${lane.name}: ${messageOf(error)}`);
  });
}

function whyUnknown(archive: Exclude<OwnArchive, { kind: 'known' }>): string {
  const why = archive.kind === 'unknown' ? `: ${archive.reason}` : '';
  return `relay is on, but the archivedir of this host is not known (standby_ini)${why}`;
}

/** Nobody is fed without an archive. The reason is said once, and again if it is another one. */
async function awaitOwnArchive(
  deps: ArchiverDeps,
  cluster: Cluster,
  config: SeenFile,
  archive: Exclude<OwnArchive, { kind: 'known' }>,
): Promise<Stop> {
  let said = '';
  const say = async (reason: string): Promise<void> => {
    if (reason === said) return;
    said = reason;
    deps.log.error(reason);
    const noted = lanesOf(deps).map((lane) => noteFree(deps, lane, { kind: 'misconfigured', reason }));
    await Promise.all(noted);
  };
  await say(whyUnknown(archive));
  const files = [config.path, controlFileOf(deps.settings.pgdata)];
  return lookUntilStop(deps, files, async () => {
    const stop = await standbyStop(deps, cluster, config);
    if (stop !== undefined) return stop;
    const now = await lookForOwnArchive(deps, cluster);
    // The shipper then begins anew at this standby.
    if (now.kind === 'known') return 'in-recovery';
    await say(whyUnknown(now));
    return undefined;
  });
}

/** Feeds the standbys in `slaves` until this server is promoted, or the configuration changes. */
export async function relay(deps: ArchiverDeps, cluster: Cluster, config: SeenFile): Promise<Stop> {
  const archive = await lookForOwnArchive(deps, cluster);
  if (archive.kind !== 'known') return awaitOwnArchive(deps, cluster, config, archive);
  const { archivedir } = archive;
  const end = new AbortController();
  const stop = AbortSignal.any([end.signal, deps.signal]);
  // Every lane listens. Node warns of more than ten listeners.
  setMaxListeners(0, stop);
  const run: ArchiverDeps['run'] = (command, options) => deps.run(command, { ...options, signal: stop });
  const own: Relay = { deps: { ...deps, run, signal: stop }, cluster, archivedir, stop, wakeUps: new Map() };
  const wakeAll = (): void => {
    for (const { wake } of own.wakeUps.values()) wake();
  };
  stop.addEventListener('abort', wakeAll, { once: true });
  const unwatch = watchDirectory(archivedir, wakeAll);
  deps.log.notice(`this server is a standby: feeding others from "${archivedir}"`);
  const lanes = lanesOf(own.deps).map((lane) => relayTo(own, lane));
  try {
    const files = [config.path, controlFileOf(deps.settings.pgdata)];
    return await lookUntilStop(deps, files, () => standbyStop(deps, cluster, config));
  } finally {
    end.abort();
    unwatch();
    await Promise.race([Promise.all(lanes), delay(shutdownGraceMs, undefined, { ref: false })]);
  }
}
