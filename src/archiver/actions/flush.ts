import type { StandbyTarget } from '../../config/options-archiver.ts';
import { exitCodes, messageOf, PitrError } from '../../errors.ts';
import { takeLock } from '../../system/lock.ts';
import { logFailure } from '../../system/log.ts';
import { countLost, pollAbandoned } from '../lane/abandonment.ts';
import { readCluster, requirePinned, type Cluster } from '../wal/cluster.ts';
import { sendBatch, type Delivery } from '../delivery/delivery.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { bytesOf, drainQueue, firstNames, nextBatch, withDelivery, type Pace } from '../lane/lane.ts';
import { recordFinding, type Finding } from '../lane/report.ts';
import { readLaneState, restUntil } from '../lane/state.ts';
import { layoutOf, lockFileOf, queueOf } from '../layout.ts';
import { listQueue } from '../queue/queue.ts';
import { markDone, readReadyFiles, type ReadyFiles } from '../wal/ready-files.ts';
import { noteRequest } from '../lane/resume-request.ts';
import { removeDeadTemporaries } from '../queue/temporaries.ts';
import type { Trouble } from '../delivery/trouble.ts';

/** What became of one lane. */
type LaneFlush =
  | {
      readonly kind: 'tried';
      readonly sent: number;
      /** Names of the ready files that the standby has. */
      readonly shipped: ReadonlySet<string>;
      readonly trouble: Trouble | undefined;
    }
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'failed'; readonly reason: string };

type StoppedFiles = Extract<ReadyFiles, { kind: 'stopped' }>;

/** What is slower than this has stalled, whatever rsync's own --timeout says. */
const slowestBytesPerMs = 32;
const shortestTransferMs = 60_000;

function unhurried(deps: ArchiverDeps): Pace {
  return {
    mayContinue: () => Promise.resolve(!deps.signal.aborted),
    transferLimitMs: (bytes) => shortestTransferMs + Math.ceil(bytes / slowestBytesPerMs),
  };
}

/** Sends the ready files straight from pg_wal: nothing recycles them while PostgreSQL is stopped. */
async function sendReady(deps: ArchiverDeps, delivery: Delivery, ready: StoppedFiles | undefined) {
  const shipped = new Set<string>();
  const pace = unhurried(deps);
  let names = ready?.names ?? [];
  while (ready !== undefined && names.length > 0 && (await pace.mayContinue())) {
    const batch = await nextBatch(ready.directory, names);
    const result = await sendBatch(deps, delivery, batch, pace.transferLimitMs(bytesOf(batch)));
    for (const { name } of result.delivered) shipped.add(name.name);
    if (result.trouble !== undefined) return { shipped, trouble: result.trouble };
    names = names.slice(batch.files.length);
  }
  return { shipped, trouble: undefined };
}

async function sendAll(deps: ArchiverDeps, delivery: Delivery, ready: StoppedFiles | undefined) {
  const { sent, trouble } = await drainQueue(deps, delivery, unhurried(deps));
  if (trouble !== undefined) return { sent, shipped: new Set<string>(), trouble };
  const direct = await sendReady(deps, delivery, ready);
  return { sent: sent + direct.shipped.size, ...direct };
}

function findingOf(deps: ArchiverDeps, trouble: Trouble | undefined, tookMs: number): Finding {
  if (trouble === undefined) return { health: 'ok' };
  const { kind, reason } = trouble;
  return { health: kind, reason, retryAt: restUntil(deps.now(), tookMs, kind) };
}

async function flushUnderLock(
  deps: ArchiverDeps,
  standby: StandbyTarget,
  cluster: Cluster,
  ready: StoppedFiles | undefined,
): Promise<LaneFlush> {
  const layout = layoutOf(deps.settings.l_archivedir);
  const stored = await readLaneState(layout, standby.name);
  const state = await pollAbandoned(deps, standby, cluster, stored, []);
  if (state === undefined) return { kind: 'abandoned' };
  const queued = await firstNames(queueOf(layout, standby.name));
  const names = queued.length > 0 ? queued : (ready?.names ?? []).slice(0, 1).map(({ name }) => name);
  if (names.length === 0) return { kind: 'tried', sent: 0, shipped: new Set(), trouble: undefined };
  const began = deps.monotonicMs();
  const note = (request: string): Promise<void> => noteRequest(deps, standby.name, request);
  const use = await withDelivery(deps, standby, cluster, names, async (delivery, request) => {
    if (request !== undefined) await note(request);
    return sendAll(deps, { ...delivery, noteRequest: note }, ready);
  });
  deps.signal.throwIfAborted();
  const result =
    use.kind === 'used' ? use.value : { sent: 0, shipped: new Set<string>(), trouble: use.trouble };
  const finding = findingOf(deps, result.trouble, deps.monotonicMs() - began);
  await recordFinding(deps, standby.name, await readLaneState(layout, standby.name), finding);
  return { kind: 'tried', ...result };
}

async function flushLane(
  deps: ArchiverDeps,
  standby: StandbyTarget,
  cluster: Cluster,
  ready: StoppedFiles | undefined,
): Promise<LaneFlush> {
  try {
    const path = lockFileOf(layoutOf(deps.settings.l_archivedir), standby.name);
    const lock = await takeLock(deps.run, path, standby.ssh_timeout * 1000);
    if (lock === undefined) return { kind: 'failed', reason: 'another process is sending' };
    try {
      return await flushUnderLock(deps, standby, cluster, ready);
    } finally {
      await lock.release();
    }
  } catch (error) {
    deps.signal.throwIfAborted();
    if (!(error instanceof PitrError)) logFailure(deps.log, error);
    return { kind: 'failed', reason: messageOf(error) };
  }
}

/** The ready files that every standby has which is not abandoned. */
function safeEverywhere(ready: StoppedFiles, lanes: readonly LaneFlush[]): readonly string[] {
  const alive = lanes.filter((lane) => lane.kind !== 'abandoned');
  if (alive.length === 0) return [];
  return ready.names
    .map(({ name }) => name)
    .filter((name) => alive.every((lane) => lane.kind === 'tried' && lane.shipped.has(name)));
}

async function countLostOnAbandoned(deps: ArchiverDeps, standby: string, names: readonly string[]) {
  const layout = layoutOf(deps.settings.l_archivedir);
  const lock = await takeLock(deps.run, lockFileOf(layout, standby), 10_000);
  if (lock === undefined) throw new PitrError(`standby ${standby}: its lane is busy`);
  try {
    await countLost(deps, standby, await readLaneState(layout, standby), names);
  } finally {
    await lock.release();
  }
}

/** Marks as done what is safe; before that, what an abandoned standby loses by it is noted. */
async function settleReady(deps: ArchiverDeps, ready: StoppedFiles, lanes: readonly LaneFlush[]) {
  const done = safeEverywhere(ready, lanes);
  if (done.length === 0) return done;
  for (const [index, { name }] of deps.settings.standbys.entries()) {
    if (lanes[index]?.kind === 'abandoned') await countLostOnAbandoned(deps, name, done);
  }
  await markDone(ready.directory, done);
  return done;
}

/** One line per standby; whether its queue is empty. */
async function reportLane(deps: ArchiverDeps, standby: string, lane: LaneFlush): Promise<boolean> {
  if (lane.kind === 'abandoned') {
    deps.report(`Standby ${standby}: abandoned, it needs a new base backup`);
    return true;
  }
  const left = await listQueue(queueOf(layoutOf(deps.settings.l_archivedir), standby));
  const sent = lane.kind === 'tried' ? lane.sent : 0;
  const reason = lane.kind === 'failed' ? lane.reason : lane.trouble?.reason;
  const rest = left.length === 0 ? 'its queue is empty' : `${left.length} remain in its queue`;
  deps.report(`Standby ${standby}: ${sent} files sent, ${rest}${reason === undefined ? '' : ` (${reason})`}`);
  return left.length === 0 && reason === undefined;
}

/** Says what PostgreSQL still owes; whether that is nothing. */
function reportReady(deps: ArchiverDeps, ready: ReadyFiles, done: readonly string[]): boolean {
  switch (ready.kind) {
    case 'running':
      deps.log.debug(`PostgreSQL runs here (process ${ready.pid}) and archives its own WAL`);
      return true;
    case 'unclear':
      deps.log.error(
        `the WAL in pgdata was left alone, it cannot be told if PostgreSQL runs: ${ready.reason}`,
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
  const layout = layoutOf(deps.settings.l_archivedir);
  const direct = ready.kind === 'stopped' ? ready.names.length : 0;
  for (const { name } of deps.settings.standbys) {
    const { abandoned } = await readLaneState(layout, name);
    const queued = await listQueue(queueOf(layout, name));
    if (abandoned !== undefined) deps.report(`Standby ${name}: abandoned, nothing would be sent`);
    else
      deps.report(`Standby ${name}: would send ${queued.length} files of its queue and ${direct} of pgdata`);
  }
}

/** Offline means that nothing new is taken: queues go on draining. */
async function readyUnlessOffline(deps: ArchiverDeps, cluster: Cluster): Promise<ReadyFiles> {
  const ready = await readReadyFiles(deps.settings.pgdata, cluster);
  if (deps.settings.state === 'online' || ready.kind !== 'stopped' || ready.names.length === 0) return ready;
  const problem = `state is offline: ${ready.names.length} files in pgdata were left alone`;
  return { ...ready, names: [], problems: [...ready.problems, problem] };
}

/**
 * `--flush`: sends what the queues hold and, where PostgreSQL is stopped, what it had not archived yet.
 *
 * @returns 0 only if nothing is owed any more
 */
export async function flush(deps: ArchiverDeps, options: ActionOptions): Promise<number> {
  const { settings } = deps;
  const layout = layoutOf(settings.l_archivedir);
  const cluster = await readCluster(settings.pgdata);
  await requirePinned(layout, cluster, settings.pgdata);
  const ready = await readyUnlessOffline(deps, cluster);
  if (options.dryRun) {
    await reportPlan(deps, ready);
    return 0;
  }
  await removeDeadTemporaries(layout);
  const stopped = ready.kind === 'stopped' ? ready : undefined;
  const lanes = await Promise.all(
    settings.standbys.map((standby) => flushLane(deps, standby, cluster, stopped)),
  );
  const done = stopped === undefined ? [] : await settleReady(deps, stopped, lanes);
  const reported: boolean[] = [reportReady(deps, ready, done)];
  for (const [index, { name }] of settings.standbys.entries()) {
    const lane = lanes[index];
    if (lane !== undefined) reported.push(await reportLane(deps, name, lane));
  }
  return reported.every(Boolean) ? 0 : exitCodes.failure;
}
