import { exitCodes, PitrError } from '../../errors.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Concern } from '../delivery/trouble.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { pollAbandoned } from '../lane/abandonment.ts';
import { findOwnWal, owesCatchUp } from '../lane/catch-up.ts';
import { type CatchUpEnd, catchUpToEnd, describeEnd, leavesDoubt } from '../lane/catch-up-to-end.ts';
import { withDelivery } from '../lane/connect.ts';
import { type Lane, lanesOf, withdrawEndedProofs, withLaneLock } from '../lane/lane.ts';
import { countLost, noteRequest, recordFinding } from '../lane/modes.ts';
import { expectedError, findingOf } from '../lane/policy.ts';
import { type DirectResult, firstNames, sendQueue, sendStopped } from '../lane/send.ts';
import { beginQuestion, shortQuestionMs, takeStandings } from '../lane/standing.ts';
import { type LaneState, readLaneState, wellBut } from '../lane/state.ts';
import { learnTail } from '../ledger/learn.ts';
import { writeLedger } from '../ledger/ledger.ts';
import { listQueue } from '../queue/queue.ts';
import { removeDeadTemporaries } from '../queue/temporaries.ts';
import { type Cluster, readPinnedCluster } from '../wal/cluster.ts';
import { markDone, readReadyFiles, type ReadyFiles } from '../wal/ready-files.ts';

/** The result of one connection; `shipped` are the ready files of pg_wal. */
interface Sent extends DirectResult {
  readonly sent: number;
  readonly concern?: Concern | undefined;
}

/** The outcome of one lane. */
type LaneFlush =
  | ({ readonly kind: 'tried'; readonly caughtUp: CatchUpEnd | undefined } & Sent)
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'failed'; readonly reason: string };

type StoppedFiles = Extract<ReadyFiles, { kind: 'stopped' }>;

/** The files that one lane is to send. */
interface Task {
  readonly deps: ArchiverDeps;
  readonly lane: Lane;
  readonly cluster: Cluster;
  /** The files of pg_wal, if PostgreSQL is stopped. */
  readonly ready: StoppedFiles | undefined;
}

const nothing: Sent = { sent: 0, shipped: new Set(), trouble: undefined };

async function sendAll({ deps, lane, ready }: Task, delivery: Delivery): Promise<Sent> {
  const pace = { mayContinue: () => !deps.signal.aborted };
  const { sent, trouble } = await sendQueue(deps, lane, delivery, pace);
  if (trouble !== undefined || ready === undefined) return { ...nothing, sent, trouble };
  const direct = await sendStopped(deps, delivery, ready.directory, ready.names, pace);
  return { ...direct, sent: sent + direct.shipped.size };
}

/** This server's WAL, if it must be asked what the standby has. */
async function ownWalToGive(deps: ArchiverDeps, lane: Lane, state: LaneState) {
  try {
    const own = await findOwnWal(deps);
    return own !== undefined && (await owesCatchUp(lane, state, own)) ? own : undefined;
  } catch (error) {
    // Only what is queued or ready is sent then, as from a damaged data directory.
    deps.log.warning(`cannot determine which WAL this server has: ${expectedError(deps.log, error).message}`);
    return undefined;
  }
}

async function flushUnderLock(task: Task): Promise<LaneFlush> {
  const { deps, lane, cluster, ready } = task;
  const stored = await readLaneState(lane);
  const state = await pollAbandoned(deps, lane, cluster, stored, []);
  if (state === undefined) return { kind: 'abandoned' };
  const queued = await firstNames(lane);
  const names = queued.length > 0 ? queued : (ready?.names ?? []).slice(0, 1).map(({ text }) => text);
  const own = await ownWalToGive(deps, lane, state);
  if (names.length === 0 && own === undefined) return { kind: 'tried', ...nothing, caughtUp: undefined };
  let caughtUp: CatchUpEnd | undefined;
  const began = deps.monotonicMs();
  const note = (request: string): Promise<void> => noteRequest(deps, lane, request);
  const use = await withDelivery(deps, lane, cluster, names, async (delivery, request) => {
    if (request !== undefined) await note(request);
    const greeted = { ...delivery, noteRequest: note };
    await learnTail(deps, lane, delivery);
    const question = await beginQuestion(deps, lane, delivery, shortQuestionMs);
    const result = await sendAll(task, greeted);
    if (result.trouble !== undefined) return { ...result, concern: delivery.concern };
    const concern = await takeStandings(deps, lane, delivery, await question.answer);
    if (own === undefined) return { ...result, concern };
    caughtUp = await catchUpToEnd(deps, lane, cluster, greeted);
    const trouble = caughtUp.kind === 'trouble' ? caughtUp.trouble : undefined;
    return { ...result, concern, sent: result.sent + caughtUp.sent, trouble };
  });
  deps.signal.throwIfAborted();
  const result: Sent = use.kind === 'used' ? use.value : { ...nothing, trouble: use.trouble };
  const { trouble, concern } = result;
  const before = await readLaneState(lane);
  const tookMs = deps.monotonicMs() - began;
  const finding = trouble === undefined ? wellBut(concern) : findingOf(deps, before, trouble, tookMs);
  await recordFinding(deps, lane, before, finding);
  return { kind: 'tried', ...result, caughtUp };
}

async function flushLane(task: Task): Promise<LaneFlush> {
  const { deps, lane } = task;
  try {
    const use = async (): Promise<LaneFlush> => {
      try {
        return await flushUnderLock(task);
      } finally {
        await writeLedger(deps, lane);
      }
    };
    return await withLaneLock(deps, lane, lane.standby.ssh_timeout * 1000, use, () =>
      Promise.resolve({ kind: 'failed', reason: 'another process is sending' }),
    );
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'failed', reason: expectedError(deps.log, error).message };
  }
}

/** A lane and its outcome. */
interface Flushed {
  readonly lane: Lane;
  readonly flushed: LaneFlush;
}

/** The ready files that every standby has, apart from the abandoned ones. */
function safeEverywhere(ready: StoppedFiles, lanes: readonly Flushed[]): readonly string[] {
  const alive = lanes.filter(({ flushed }) => flushed.kind !== 'abandoned');
  if (alive.length === 0) return [];
  return ready.names
    .map(({ text }) => text)
    .filter((name) => alive.every(({ flushed }) => flushed.kind === 'tried' && flushed.shipped.has(name)));
}

async function countLostOnAbandoned(deps: ArchiverDeps, lane: Lane, names: readonly string[]) {
  const count = (): Promise<void> => countLost(deps, lane, names);
  await withLaneLock(deps, lane, 10_000, count, () => {
    throw new PitrError(`standby ${lane.name}: its lane is busy`);
  });
}

/** Marks the safe files as done. Before that, it notes what an abandoned standby loses by it. */
async function settleReady(deps: ArchiverDeps, ready: StoppedFiles, lanes: readonly Flushed[]) {
  const done = safeEverywhere(ready, lanes);
  if (done.length === 0) return done;
  for (const { lane, flushed } of lanes) {
    if (flushed.kind === 'abandoned') await countLostOnAbandoned(deps, lane, done);
  }
  await markDone(ready.directory, done);
  return done;
}

/** Reports one line per standby. Returns whether nothing is left to deliver to it. */
export async function reportLane(
  { report }: Pick<ArchiverDeps, 'report'>,
  { lane, flushed }: Flushed,
): Promise<boolean> {
  if (flushed.kind === 'abandoned') {
    report(`Standby ${lane.name}: abandoned, it needs a new base backup`);
    return true;
  }
  const left = await listQueue(lane.queue);
  const sent = flushed.kind === 'tried' ? flushed.sent : 0;
  const reason = flushed.kind === 'failed' ? flushed.reason : flushed.trouble?.reason;
  const rest = left.length === 0 ? 'its queue is empty' : `${left.length} remain in its queue`;
  report(`Standby ${lane.name}: ${sent} files sent, ${rest}${reason === undefined ? '' : ` (${reason})`}`);
  const end = flushed.kind === 'tried' ? flushed.caughtUp : undefined;
  const sentence = end && describeEnd(end);
  if (sentence !== undefined) report(`Standby ${lane.name}: ${sentence}`);
  return left.length === 0 && reason === undefined && !(end !== undefined && leavesDoubt(end));
}

/** Reports the WAL that PostgreSQL still has to archive. Returns whether there is none. */
function reportReady(deps: ArchiverDeps, ready: ReadyFiles, done: readonly string[]): boolean {
  switch (ready.kind) {
    case 'running':
      deps.log.debug(`PostgreSQL runs here (process ${ready.pid}): it archives the rest of its WAL itself`);
      return true;
    case 'unclear':
      deps.log.error(
        `the WAL in pgdata was not sent, because it cannot be determined whether PostgreSQL runs: ${ready.reason}`,
      );
      return false;
    case 'stopped': {
      const total = ready.names.length + ready.problems.length;
      for (const problem of ready.problems) deps.log.error(problem);
      if (total > 0) {
        deps.report(
          `PostgreSQL is stopped: ${done.length} of ${total} files that it had not archived are safe`,
        );
      }
      return done.length === total;
    }
  }
}

async function reportPlan(deps: ArchiverDeps, ready: ReadyFiles): Promise<void> {
  const direct = ready.kind === 'stopped' ? ready.names.length : 0;
  for (const lane of lanesOf(deps)) {
    const { name, queue } = lane;
    const { abandoned } = await readLaneState(lane);
    const queued = await listQueue(queue);
    if (abandoned !== undefined) deps.report(`Standby ${name}: abandoned, nothing would be sent`);
    else
      deps.report(
        `Standby ${name}: would send ${queued.length} files from its queue and ${direct} from pgdata`,
      );
  }
}

/** Offline means that no new WAL is accepted; queues are still drained. */
async function readyUnlessOffline(deps: ArchiverDeps, cluster: Cluster): Promise<ReadyFiles> {
  const ready = await readReadyFiles(deps.settings.pgdata, cluster);
  if (deps.settings.state === 'online' || ready.kind !== 'stopped' || ready.names.length === 0) return ready;
  const problem = `state is offline: ${ready.names.length} files in pgdata were not sent`;
  return { ...ready, names: [], problems: [...ready.problems, problem] };
}

/**
 * `--flush`: sends what the queues hold and, if PostgreSQL is stopped, the WAL that it had not archived yet.
 *
 * @returns 0 only if nothing is left to deliver
 */
export async function flush(deps: ArchiverDeps, options: ActionOptions): Promise<number> {
  const cluster = await readPinnedCluster(deps);
  const ready = await readyUnlessOffline(deps, cluster);
  if (options.dryRun) {
    await reportPlan(deps, ready);
    return 0;
  }
  await withdrawEndedProofs(deps, cluster);
  await removeDeadTemporaries(deps.layout);
  const stopped = ready.kind === 'stopped' ? ready : undefined;
  const flushAll = lanesOf(deps).map(async (lane) => ({
    lane,
    flushed: await flushLane({ deps, lane, cluster, ready: stopped }),
  }));
  const lanes = await Promise.all(flushAll);
  const done = stopped === undefined ? [] : await settleReady(deps, stopped, lanes);
  const reported: boolean[] = [reportReady(deps, ready, done)];
  for (const lane of lanes) reported.push(await reportLane(deps, lane));
  return reported.every(Boolean) ? 0 : exitCodes.failure;
}
