import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { messageOf } from '../../errors.ts';
import { type Log, logFailure } from '../../system/log.ts';
import type { ArchiverDeps } from '../deps.ts';
import { withdrawEndedProofs } from '../lane/lane.ts';
import { prepareMarkers, stampConfig, wipeMarkers } from '../markers/markers.ts';
import { type ShipperPlaces, shipperPlaces } from '../markers/places.ts';
import { removeDeadTemporaries } from '../queue/temporaries.ts';
import { adoptPriority, type Beginning } from '../shipper/early.ts';
import { runKeeper } from '../shipper/keeper.ts';
import { watchKeptSlot } from '../shipper/kept-slot.ts';
import { endFrames, prepareFrames } from '../shipper/lane-frames.ts';
import { adoptState, runLane } from '../shipper/lane-loop.ts';
import type { ShipperLane } from '../shipper/lane-record.ts';
import { relay } from '../shipper/relay.ts';
import { observeReady, runScanner } from '../shipper/scanner.ts';
import { createWakeUp } from '../shipper/signal.ts';
import { watchForStall } from '../shipper/stall.ts';
import { awaitPromotion, awaitStop, describeStop, type Stop } from '../shipper/stop.ts';
import { watchFile } from '../shipper/watch.ts';
import { createWork, warnSlowPath, type Work } from '../shipper/work.ts';
import { type Cluster, readPinnedCluster } from '../wal/cluster.ts';
import { walDirectory } from '../wal/ready-files.ts';
import type { SeenFile } from '../wal/wal-file.ts';

/** An INI file that was read and understood. */
interface Configuration {
  readonly identity: SeenFile;
  readonly settings: ArchiverSettings;
  readonly log: Log;
}

/** Reads the INI file as it is now; throws if something is wrong with it. */
export type ReadConfiguration = () => Promise<Configuration>;

/** An INI file that keeps changing must neither keep a processor busy nor fill the log. */
const shortestRestartDelayMs = 100;
const longestRestartDelayMs = 10_000;
/** How often an INI file that cannot be used is read without an event. */
const unusableMs = 5_000;
const hurriedMs = 1_000;
/** We wait no longer than this for the lanes when all must stop: one of them may hang. */
const shutdownGraceMs = 5_000;

function wakeAll({ decide, lanes }: Work): void {
  decide.wake();
  for (const { wakeUp } of lanes) wakeUp.wake();
}

/** Offline: queues are still drained, but no new WAL is accepted and nothing is proven. */
async function startTaking(
  work: Work,
  config: SeenFile,
): Promise<readonly Promise<void>[] | 'config-changed'> {
  const { deps, places, cluster } = work;
  if (deps.settings.state === 'offline') return [];
  await prepareMarkers(places, cluster.systemIdentifier, deps.settings.pgdata);
  const { isCurrent, flaw } = await stampConfig(deps.run, places, cluster.systemIdentifier, config);
  if (!isCurrent) return 'config-changed';
  if (flaw !== undefined) warnSlowPath(work, flaw);
  const directory = await walDirectory(deps.settings.pgdata);
  const observation = await observeReady(work, directory);
  return [runKeeper(work), runScanner(work, observation), watchForStall(work, config.path)];
}

/** A state that cannot be read must not delay the other standbys: the lane tries again, and reports the reason. */
async function adoptStateSafely(work: Work, lane: ShipperLane): Promise<void> {
  try {
    await adoptState(work, lane);
  } catch (error) {
    logFailure(work.deps.log, error);
    lane.isBehind = true;
  }
}

/** A standby ships nothing of its own. Patroni may promote it at any moment: then its shipper is there already. */
async function inRecovery(deps: ArchiverDeps, cluster: Cluster, config: SeenFile): Promise<Stop> {
  if (deps.settings.relay) return relay(deps, cluster, config);
  return deps.settings.patroni_url === undefined ? 'in-recovery' : awaitPromotion(deps, cluster, config);
}

/** Ships with one configuration until it is no longer valid. */
async function shipBy(deps: ArchiverDeps, config: SeenFile): Promise<Stop> {
  const cluster = await readPinnedCluster(deps);
  await withdrawEndedProofs(deps, cluster);
  if (cluster.isInRecovery) return inRecovery(deps, cluster, config);
  const end = new AbortController();
  const stop = AbortSignal.any([end.signal, deps.signal]);
  // Every lane listens several times. Node warns of more than ten listeners.
  setMaxListeners(0, stop);
  const work = createWork(deps, cluster, stop);
  await wipeMarkers(work.places);
  await removeDeadTemporaries(deps.layout);
  await prepareFrames(work);
  for (const lane of work.lanes) await adoptStateSafely(work, lane);
  const parts = await startTaking(work, config);
  if (parts === 'config-changed') return parts;
  const running = [...work.lanes.map((lane) => runLane(work, lane)), watchKeptSlot(work)];
  try {
    return await awaitStop(work, config);
  } finally {
    end.abort();
    wakeAll(work);
    // No marker may remain when the next configuration is in force. A lane may still be delivering, which does no harm.
    await Promise.all(parts);
    await Promise.race([Promise.all(running), delay(shutdownGraceMs, undefined, { ref: false })]);
    await endFrames(work);
  }
}

/** While the INI file cannot be used, nothing is proven or accepted. */
async function awaitUsable(
  { signal, log, iniFile }: ArchiverDeps,
  places: ShipperPlaces,
  read: ReadConfiguration,
): Promise<Configuration | undefined> {
  const lookAgain = createWakeUp();
  let unwatch: (() => void) | undefined;
  let said = '';
  signal.addEventListener('abort', lookAgain.wake, { once: true });
  try {
    while (!signal.aborted) {
      try {
        return await read();
      } catch (error) {
        await wipeMarkers(places);
        if (messageOf(error) !== said) logFailure(log, error);
        said = messageOf(error);
      }
      // It is read once more then: it may have changed before.
      if (unwatch === undefined) unwatch = await watchFile(iniFile ?? '', lookAgain.wake);
      else {
        await lookAgain.wait(unusableMs);
        await delay(shortestRestartDelayMs, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  } finally {
    signal.removeEventListener('abort', lookAgain.wake);
    unwatch?.();
  }
}

/** A host that also feeds others while it is a standby, or that Patroni runs, needs its shipper in both roles. */
function continuesAfter(stop: Stop, { relay: relays, patroni_url }: ArchiverSettings): boolean {
  const isInBothRoles = relays || patroni_url !== undefined;
  return stop === 'config-changed' || stop === 'promoted' || (stop === 'in-recovery' && isInBothRoles);
}

async function shipUnderLock(
  deps: ArchiverDeps,
  places: ShipperPlaces,
  read: ReadConfiguration,
): Promise<void> {
  let restartDelayMs = shortestRestartDelayMs;
  for (;;) {
    const config = await awaitUsable(deps, places, read);
    if (config === undefined) return;
    const { settings, log, identity } = config;
    if (settings.l_archivedir !== deps.settings.l_archivedir) {
      await wipeMarkers(places);
      log.notice(`the shipper ends: l_archivedir is ${settings.l_archivedir} now`);
      return;
    }
    adoptPriority(settings, log);
    const began = deps.monotonicMs();
    const stop = await shipBy({ ...deps, settings, log }, identity);
    const continues = continuesAfter(stop, settings);
    log.notice(describeStop(stop, settings.pgdata, continues));
    if (!continues) return;
    restartDelayMs =
      deps.monotonicMs() - began > hurriedMs
        ? shortestRestartDelayMs
        : Math.min(2 * restartDelayMs, longestRestartDelayMs);
    await delay(restartDelayMs, undefined, { signal: deps.signal }).catch(() => undefined);
  }
}

/**
 * `--ship`: ships WAL before PostgreSQL asks, and leaves a marker for each safe segment, so that archive_command only
 * has to look for the marker.
 */
export async function shipContinuously(
  given: ArchiverDeps,
  { lock, connections }: Beginning,
  read: ReadConfiguration,
): Promise<void> {
  const deps = { ...given, withRemoteShell: connections.withRemoteShell };
  const { log, signal, settings } = deps;
  try {
    log.notice(`shipping from ${settings.pgdata}`);
    await shipUnderLock(deps, shipperPlaces(deps.layout), read);
  } catch (error) {
    // The signal also ends the commands that we wait for: their failure is no failure of the service.
    if (!signal.aborted) throw error;
    log.notice(`${describeStop('requested', settings.pgdata)} (${messageOf(error)})`);
  } finally {
    await lock.release();
    await connections.endUnused();
  }
}
