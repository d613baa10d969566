import { join } from 'node:path';
import { readPostmaster } from '../../system/postmaster.ts';
import type { ArchiverDeps } from '../deps.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { isStill, type SeenFile } from '../wal/wal-file.ts';
import { isEverythingMarked } from './board.ts';
import { createWakeUp } from './signal.ts';
import { watchFile } from './watch.ts';
import type { Work } from './work.ts';

/** The reason why a shipper stopped working by one configuration. */
export type Stop = 'requested' | 'config-changed' | 'nothing-to-do' | 'in-recovery' | 'promoted';

/** A server that is restarted must find its shipper still running. */
const stoppedMs = 10_000;
/** While the server is stopped, a shipper that can deliver nothing must not try forever. */
const fruitlessMs = 60_000;

async function areQueuesEmpty({ lanes }: Work): Promise<boolean> {
  for (const { queue } of lanes) {
    if (!(await isQueueEmpty(queue))) return false;
  }
  return true;
}

/** Whether there is a reason to continue although the server is stopped. */
async function isStillUseful(work: Work, stoppedForMs: number): Promise<boolean> {
  if (stoppedForMs < stoppedMs) return true;
  if (isEverythingMarked(work.board) && (await areQueuesEmpty(work))) return false;
  const quietMs = work.deps.monotonicMs() - work.lastProgressMs;
  return Math.min(quietMs, stoppedForMs) < fruitlessMs;
}

async function clusterStop({ deps, cluster }: Work): Promise<Stop | undefined> {
  const now = await readCluster(deps.settings.pgdata);
  if (now.systemIdentifier !== cluster.systemIdentifier) return 'nothing-to-do';
  return now.isInRecovery ? 'in-recovery' : undefined;
}

/** Whether there is still work for this cluster. */
function createUsefulness(work: Work): () => Promise<Stop | undefined> {
  const { deps } = work;
  let stoppedSinceMs: number | undefined;
  return async () => {
    const { kind } = await readPostmaster(deps.settings.pgdata);
    if (kind === 'running' || kind === 'unclear') stoppedSinceMs = undefined;
    else stoppedSinceMs ??= deps.monotonicMs();
    work.board.isStopped = stoppedSinceMs !== undefined;
    const stop = await clusterStop(work).catch((): Stop => 'nothing-to-do');
    if (stop !== undefined) return stop;
    const stoppedForMs = stoppedSinceMs === undefined ? 0 : deps.monotonicMs() - stoppedSinceMs;
    return (await isStillUseful(work, stoppedForMs)) ? undefined : 'nothing-to-do';
  };
}

/** How often is looked without an event. */
const lookMs = 5_000;
/** A server that replays much writes pg_control again and again. */
const shortestLookMs = 250;

/** Looks at each event of these files, and on each beat, until there is a reason to stop. */
export async function lookUntilStop(
  { signal, monotonicMs, pause }: Pick<ArchiverDeps, 'signal' | 'monotonicMs' | 'pause'>,
  files: readonly string[],
  look: () => Promise<Stop | undefined>,
): Promise<Stop> {
  const lookAgain = createWakeUp();
  const unwatch = await Promise.all(files.map((file) => watchFile(file, lookAgain.wake)));
  signal.addEventListener('abort', lookAgain.wake, { once: true });
  try {
    while (!signal.aborted) {
      const stop = await look();
      if (stop !== undefined) return stop;
      const againMs = monotonicMs() + shortestLookMs;
      await lookAgain.wait(lookMs);
      const restMs = againMs - monotonicMs();
      // Aborted, it would reject.
      if (restMs > 0) await pause(restMs).catch(() => undefined);
    }
    return 'requested';
  } finally {
    signal.removeEventListener('abort', lookAgain.wake);
    for (const end of unwatch) end();
  }
}

/** A promotion, the end of a recovery and the start of one write it at once. */
export function controlFileOf(pgdata: string): string {
  return join(pgdata, 'global', 'pg_control');
}

/**
 * Waits for whatever ends this configuration's work: a change of the INI file, a cluster that is in recovery, is another one
 * or has gone, and a server that is stopped for good.
 */
export async function awaitStop(work: Work, config: SeenFile): Promise<Stop> {
  const { deps } = work;
  const findStop = createUsefulness(work);
  const files = [config.path, controlFileOf(deps.settings.pgdata), work.places.look];
  return lookUntilStop(deps, files, async () => ((await isStill(config)) ? findStop() : 'config-changed'));
}

/** Why there is nothing more to wait for at a standby; undefined as long as it is one. */
export async function standbyStop(
  { settings }: Pick<ArchiverDeps, 'settings'>,
  cluster: Cluster,
  config: SeenFile,
): Promise<Stop | undefined> {
  if (!(await isStill(config))) return 'config-changed';
  const now = await readCluster(settings.pgdata).catch(() => undefined);
  // While it is replaced, nothing calls archive_command here, which would start another shipper: those whom it feeds wait.
  if (now === undefined && settings.relay) return undefined;
  // A base backup, pg_rewind or another cluster replaces it: the next archive_command starts a shipper.
  if (now?.systemIdentifier !== cluster.systemIdentifier) return 'nothing-to-do';
  return now.isInRecovery ? undefined : 'promoted';
}

/**
 * Waits until this standby is promoted, as long as there is a server that could be. A promotion is seen at once, because it
 * writes pg_control. A quiet standby costs almost nothing.
 */
export async function awaitPromotion(
  deps: Pick<ArchiverDeps, 'log' | 'pause' | 'monotonicMs' | 'signal' | 'settings'>,
  cluster: Cluster,
  config: SeenFile,
): Promise<Stop> {
  const { pgdata } = deps.settings;
  deps.log.notice(`the server in ${pgdata} is a standby: waiting for its promotion`);
  return lookUntilStop(deps, [config.path, controlFileOf(pgdata)], () => standbyStop(deps, cluster, config));
}

const sentences: Readonly<Record<Stop, (pgdata: string, continues: boolean) => string>> = {
  requested: () => 'the shipper ends as requested',
  'config-changed': () => 'the configuration changed',
  'nothing-to-do': (pgdata) =>
    `the shipper ends: the server in ${pgdata} is stopped, and nothing more can be delivered`,
  promoted: (pgdata) => `the server in ${pgdata} is out of recovery`,
  'in-recovery': (pgdata, continues) =>
    `${continues ? '' : 'the shipper ends: '}the server in ${pgdata} is a standby`,
};

/** `continues`: the shipper does not end by that. */
export function describeStop(stop: Stop, pgdata: string, continues = false): string {
  return sentences[stop](pgdata, continues);
}
