import { join } from 'node:path';
import { readPostmaster } from '../../system/postmaster.ts';
import type { ArchiverDeps } from '../deps.ts';
import { isQueueEmpty } from '../queue/queue.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { isStill, type SeenFile } from '../wal/wal-file.ts';
import { shipmentsInOrder } from './board.ts';
import { createWakeUp } from './signal.ts';
import { watchFile } from './watch.ts';
import type { Work } from './work.ts';

/** The reason why a shipper stopped working by one configuration. */
export type Stop = 'requested' | 'config-changed' | 'nothing-to-do' | 'in-recovery' | 'promoted';

const watchMs = 250;
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

function isEverythingSent({ board }: Work): boolean {
  return board.refused.size === 0 && shipmentsInOrder(board).every(({ isMarked }) => isMarked);
}

/** Whether there is a reason to continue although the server is stopped. */
async function isStillUseful(work: Work, stoppedForMs: number): Promise<boolean> {
  if (stoppedForMs < stoppedMs) return true;
  if (isEverythingSent(work) && (await areQueuesEmpty(work))) return false;
  const quietMs = work.deps.monotonicMs() - work.lastProgressMs;
  return Math.min(quietMs, stoppedForMs) < fruitlessMs;
}

async function clusterStop({ deps, cluster }: Work): Promise<Stop | undefined> {
  const now = await readCluster(deps.settings.pgdata);
  if (now.systemIdentifier !== cluster.systemIdentifier) return 'nothing-to-do';
  return now.isInRecovery ? 'in-recovery' : undefined;
}

/** Whether there is still work for this cluster. This check runs rarely. */
function createUsefulness(work: Work): () => Promise<Stop | undefined> {
  const { deps } = work;
  let runningMs = deps.monotonicMs();
  let askedMs = -Infinity;
  return async () => {
    if (deps.monotonicMs() - askedMs < 4 * watchMs) return undefined;
    askedMs = deps.monotonicMs();
    const { kind } = await readPostmaster(deps.settings.pgdata);
    if (kind === 'running' || kind === 'unclear') runningMs = deps.monotonicMs();
    const stop = await clusterStop(work).catch((): Stop => 'nothing-to-do');
    if (stop !== undefined) return stop;
    return (await isStillUseful(work, deps.monotonicMs() - runningMs)) ? undefined : 'nothing-to-do';
  };
}

/**
 * Watches for everything that ends this configuration's work: the INI file as soon as a change is reported, and every
 * quarter of a second.
 */
export async function awaitStop(work: Work, config: SeenFile): Promise<Stop> {
  const { signal } = work.deps;
  const lookAgain = createWakeUp();
  const findStop = createUsefulness(work);
  const unwatch = await watchFile(config.path, lookAgain.wake);
  signal.addEventListener('abort', lookAgain.wake, { once: true });
  try {
    while (!signal.aborted) {
      if (!(await isStill(config))) return 'config-changed';
      const stop = await findStop();
      if (stop !== undefined) return stop;
      await lookAgain.wait(watchMs);
    }
    return 'requested';
  } finally {
    signal.removeEventListener('abort', lookAgain.wake);
    unwatch();
  }
}

/** How often a standby that may be promoted is looked at without an event. */
const promotionMs = 5_000;
/** A server that replays much writes pg_control again and again. */
const shortestLookMs = 250;

/**
 * Waits until this standby is promoted, as long as there is a server that could be. A promotion is seen at once, because it
 * writes pg_control. A quiet standby costs almost nothing.
 */
export async function awaitPromotion(
  deps: Pick<ArchiverDeps, 'log' | 'pause' | 'signal' | 'settings'>,
  cluster: Cluster,
  config: SeenFile,
): Promise<Stop> {
  const { signal, settings } = deps;
  deps.log.notice(`the server in ${settings.pgdata} is a standby: waiting for its promotion`);
  const lookAgain = createWakeUp();
  const ends = [
    await watchFile(join(settings.pgdata, 'global', 'pg_control'), lookAgain.wake),
    await watchFile(config.path, lookAgain.wake),
  ];
  signal.addEventListener('abort', lookAgain.wake, { once: true });
  try {
    while (!signal.aborted) {
      if (!(await isStill(config))) return 'config-changed';
      const now = await readCluster(settings.pgdata).catch(() => undefined);
      // A base backup, pg_rewind or another cluster replaces it: the next archive_command starts a shipper.
      if (now?.systemIdentifier !== cluster.systemIdentifier) return 'nothing-to-do';
      if (!now.isInRecovery) return 'promoted';
      await deps.pause(shortestLookMs);
      await lookAgain.wait(promotionMs);
    }
    return 'requested';
  } finally {
    signal.removeEventListener('abort', lookAgain.wake);
    for (const end of ends) end();
  }
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
