/**
 * The beginning of a shipper. It needs little code: while all other code is being loaded, the lock is taken and ssh shakes
 * hands with the standbys. Nothing is said to a standby here but the words that open a session.
 */
import { getPriority, setPriority } from 'node:os';
import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { type Lock, takeLock } from '../../system/lock.ts';
import type { Log } from '../../system/log.ts';
import { type ConnectionsAhead, connectionsAhead } from '../../system/ssh-ahead.ts';
import type { ArchiverDeps } from '../deps.ts';
import { sshTargetOf } from '../lane/target.ts';
import { shipperPlaces } from '../markers/places.ts';
import { readPinnedCluster, requirePinnedDirectory } from '../wal/cluster.ts';

/** A caller that only checks whether there is a shipper holds the lock for a moment. */
const lockProbeMs = 200;
/** Loading code keeps this process from starting ssh: it begins after ssh, unless that takes long. */
const longestBeginMs = 100;

/** The possessions of a shipper before it begins to work. */
export interface Beginning {
  /** The lock of the one shipper of this l_archivedir. */
  readonly lock: Lock;
  readonly connections: ConnectionsAhead;
}

/**
 * The priority of this process and its children. Only the superuser may lower a niceness, so a lower one takes effect
 * at the next start.
 */
export function adoptPriority({ ship_nice }: ArchiverSettings, log: Log): void {
  if (ship_nice === 0 || ship_nice === getPriority()) return;
  try {
    setPriority(ship_nice);
  } catch (error) {
    log.warning(`ship_nice: ${ship_nice} takes effect at the next start of the shipper: ${messageOf(error)}`);
  }
}

/** A failure here is no failure of the shipper: the lane that finds no connection opens one, and reports what is wrong. */
async function beginConnections(deps: ArchiverDeps, connections: ConnectionsAhead): Promise<void> {
  const { settings } = deps;
  // Under Patroni only the leader has anything to say to a standby.
  if (settings.patroni_url !== undefined) return;
  const cluster = await readPinnedCluster(deps).catch(() => undefined);
  if (cluster === undefined || cluster.isInRecovery) return;
  const begin = async (standby: StandbyTarget): Promise<void> => {
    const target = await sshTargetOf(deps, { standby }).catch(() => undefined);
    if (target !== undefined) await connections.begin(deps, target);
  };
  const begun = Promise.all(settings.standbys.map(begin));
  await Promise.race([begun, deps.pause(longestBeginMs).catch(() => undefined)]);
}

/** There is one shipper per l_archivedir; a second one ends at once. */
export async function beginShipper(deps: ArchiverDeps): Promise<Beginning> {
  const { layout, settings, log, run } = deps;
  await requirePinnedDirectory(layout);
  const lock = await takeLock(run, shipperPlaces(layout).lock, lockProbeMs);
  if (lock === undefined) throw new PitrError(`a shipper already works for "${layout.root}"`);
  adoptPriority(settings, log);
  const connections = connectionsAhead(deps.withRemoteShell);
  await beginConnections(deps, connections);
  return { lock, connections };
}
