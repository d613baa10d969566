import { PitrError } from '../../errors.ts';
import { requireProgram } from '../../system/find-program.ts';
import type { RsyncProgram } from '../../system/rsync.ts';
import { noiseHint, type RemoteShell } from '../../system/ssh.ts';
import { type DeliveryPlace, incoming } from '../../verbs/scripts/delivery.ts';
import { type Delivery, laneId } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Outgoing } from '../frames/frame.ts';
import { frameUse } from '../frames/frame-use.ts';
import { noteStored } from '../ledger/ledger.ts';
import type { Cluster } from '../wal/cluster.ts';
import { greet } from './greet.ts';
import { type Lane, noteDelivery } from './lane.ts';
import { leadershipOf } from './leadership.ts';
import { sshTargetOf } from './target.ts';

/** The programs that a lane needs on this host before it can connect. */
async function findTools(deps: ArchiverDeps, lane: Lane) {
  const { settings } = deps;
  const target = await sshTargetOf(deps, lane);
  const rsync: RsyncProgram = {
    rsync: await requireProgram('rsync_bin', settings.rsync_bin, settings.includepath),
    flags: [...bandwidthFlags(settings.ship_bwlimit), ...lane.standby.rsync_flags],
    version: settings.rsync_version === 2 ? 2 : 3,
  };
  return { target, rsync };
}

/** rsync counts in KiB per second, and 0 means no limit: less than a KiB must not be rounded down to 0. */
function bandwidthFlags(bytesPerSecond = 0): readonly string[] {
  if (bytesPerSecond === 0) return [];
  return [`--bwlimit=${Math.max(1, Math.round(bytesPerSecond / 1024))}`];
}

export function placeOf(deps: ArchiverDeps, { standby, name }: Lane, cluster: Cluster): DeliveryPlace {
  return {
    archivedir: standby.r_archivedir,
    systemIdentifier: cluster.systemIdentifier,
    lane: `${incoming}/${laneId(deps.hostName, deps.layout.root, name)}`,
    run: deps.nonce(),
    mode: cluster.isInRecovery ? 'compare' : 'store',
  };
}

export type LaneUse<T> =
  { readonly kind: 'used'; readonly value: T } | { readonly kind: 'trouble'; readonly trouble: Trouble };

/**
 * Connects to a standby, checks that its archive directory is the right one, passes the open delivery to `use`, and
 * ends the connection. The caller holds the lane's lock. `names` are those of the first batch;
 * `limitMs`: see `greet`.
 */
export async function withDelivery<T>(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  names: readonly string[],
  use: (delivery: Delivery, resumeRequest: string | undefined) => Promise<T>,
  limitMs?: number,
): Promise<LaneUse<T>> {
  const tools = await findTools(deps, lane).catch(misconfigured);
  if ('kind' in tools) return { kind: 'trouble', trouble: tools };
  const mayDeliver = leadershipOf(deps, cluster);
  // A standby is informed of left timelines at the greeting: that, too, is the leader's.
  const forbidden = await mayDeliver?.();
  if (forbidden !== undefined) return { kind: 'trouble', trouble: forbidden };
  const open = async (shell: RemoteShell): Promise<LaneUse<T>> => {
    const ungreeted = {
      standby: lane.standby,
      shell,
      rsync: tools.rsync,
      place: placeOf(deps, lane, cluster),
      mayDeliver,
      frames: frameUse(deps),
      noteDelivery: () => noteDelivery(lane),
      noteStored: (files: readonly Outgoing[]) => {
        noteStored(lane.ledger, files, deps.now());
      },
    };
    const greeted = await greet(deps, lane, cluster, ungreeted, names, limitMs);
    if (greeted.kind === 'trouble') return greeted;
    return { kind: 'used', value: await use(greeted.delivery, greeted.resumeRequest) };
  };
  const connected = await deps.withRemoteShell(deps, tools.target, open);
  if (connected.kind === 'used') return connected.value;
  const { kind, reason } = connected;
  return {
    kind: 'trouble',
    trouble: kind === 'noisy' ? { kind: 'unfit', reason, hint: noiseHint } : { kind, reason },
  };
}

function misconfigured(error: unknown): Trouble {
  if (error instanceof PitrError) return { kind: 'misconfigured', reason: error.message, hint: error.hint };
  throw error;
}
