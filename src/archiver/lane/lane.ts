import { join } from 'node:path';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { PitrError } from '../../errors.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { requireProgram } from '../../system/find-program.ts';
import type { RsyncProgram } from '../../system/rsync.ts';
import { noiseHint, type RemoteShell, type SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import type { Cluster } from '../wal/cluster.ts';
import { laneId, sayHello, sendBatch, type Batch, type Delivery } from '../delivery/delivery.ts';
import { noteDelivery } from '../delivery/history.ts';
import type { DeliveryPlace } from '../delivery/scripts.ts';
import type { ArchiverDeps } from '../deps.ts';
import { layoutOf, queueOf } from '../layout.ts';
import { listQueue, removeFromQueue } from '../queue/queue.ts';
import type { Trouble } from '../delivery/trouble.ts';
import { walFileAt, type WalFile } from '../wal/wal-file.ts';

/** What a lane needs on this host before it can connect. */
interface LaneTools {
  readonly target: SshTarget;
  readonly rsync: RsyncProgram;
}

async function findTools(deps: ArchiverDeps, standby: StandbyTarget): Promise<LaneTools> {
  const { settings } = deps;
  const target = await sshTargetOf(deps, standby);
  const rsync = await requireProgram('rsync_bin', settings.rsync_bin, settings.includepath);
  return {
    target,
    rsync: {
      rsync,
      flags: [...bandwidthFlags(settings.ship_bwlimit), ...standby.rsync_flags],
      version: settings.rsync_version === 2 ? 2 : 3,
    },
  };
}

/** rsync counts in KiB per second. 0 is no limit, as for rsync itself; less than a KiB is not rounded down to that. */
function bandwidthFlags(bytesPerSecond = 0): readonly string[] {
  if (bytesPerSecond === 0) return [];
  return [`--bwlimit=${Math.max(1, Math.round(bytesPerSecond / 1024))}`];
}

export function sshTargetOf(deps: ArchiverDeps, standby: StandbyTarget): Promise<SshTarget> {
  return sshTarget({ ...standby, what: 'the standby' }, deps.settings);
}

function placeOf(deps: ArchiverDeps, standby: StandbyTarget, cluster: Cluster): DeliveryPlace {
  return {
    archivedir: standby.r_archivedir,
    systemIdentifier: cluster.systemIdentifier,
    lane: `.incoming/${laneId(deps.hostName, deps.settings.l_archivedir, standby.name)}`,
    run: deps.nonce(),
    mode: cluster.isInRecovery ? 'compare' : 'store',
  };
}

export type LaneUse<T> =
  | { readonly kind: 'used'; readonly value: T; readonly resumeRequest: string | undefined }
  | { readonly kind: 'trouble'; readonly trouble: Trouble };

/**
 * Connects to a standby, sees that its archive directory is the right one, hands the open delivery to `use`, and ends the
 * connection. The caller holds the lane's lock. `names` are those of the first batch.
 */
export async function withDelivery<T>(
  deps: ArchiverDeps,
  standby: StandbyTarget,
  cluster: Cluster,
  names: readonly string[],
  use: (delivery: Delivery, resumeRequest: string | undefined) => Promise<T>,
): Promise<LaneUse<T>> {
  const tools = await findTools(deps, standby).catch(misconfigured);
  if ('kind' in tools) return { kind: 'trouble', trouble: tools };
  const limitMs = standby.ssh_timeout * 1000;
  const open = async (shell: RemoteShell): Promise<LaneUse<T>> => {
    const greeted = {
      standby,
      shell,
      rsync: tools.rsync,
      place: placeOf(deps, standby, cluster),
      noteDelivery: () => noteDelivery(layoutOf(deps.settings.l_archivedir), standby.name),
    };
    const hello = await sayHello(greeted, names, limitMs);
    if (hello.kind === 'trouble') return hello;
    const delivery = { ...greeted, directory: hello.directory };
    const value = await use(delivery, hello.resumeRequest);
    return { kind: 'used', value, resumeRequest: hello.resumeRequest };
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

/** So many files, or so many bytes, go with one rsync: enough to reach the link's speed, little enough to stop in time. */
const batchFiles = 256;
const batchBytes = 128 * 1024 * 1024;

/** The first files of the list that make one batch; at least one. */
export async function nextBatch(directory: string, names: readonly WalName[]): Promise<Batch> {
  const files: WalFile[] = [];
  let bytes = 0;
  for (const name of names.slice(0, batchFiles)) {
    const file = await walFileAt(join(directory, name.name), name);
    bytes += Number(file.identity.size);
    if (files.length > 0 && bytes > batchBytes) break;
    files.push(file);
  }
  return { directory, files };
}

export interface Pace {
  /** Whether another batch may be begun. */
  readonly mayContinue: () => Promise<boolean>;
  /** How long one transfer may take, in milliseconds. */
  readonly transferLimitMs: (bytes: number) => number;
}

export interface DrainResult {
  readonly sent: number;
  readonly isEmpty: boolean;
  readonly trouble: Trouble | undefined;
}

export function bytesOf({ files }: Batch): number {
  return files.reduce((sum, { identity }) => sum + Number(identity.size), 0);
}

/** Sends what the queue holds, oldest first, and removes what the standby has made safe. */
export async function drainQueue(deps: ArchiverDeps, delivery: Delivery, pace: Pace): Promise<DrainResult> {
  const queue = queueOf(layoutOf(deps.settings.l_archivedir), delivery.standby.name);
  let names = await listQueue(queue);
  let sent = 0;
  while (names.length > 0) {
    if (!(await pace.mayContinue())) return { sent, isEmpty: false, trouble: undefined };
    const batch = await nextBatch(queue, names);
    const result = await sendBatch(deps, delivery, batch, pace.transferLimitMs(bytesOf(batch)));
    await removeFromQueue(
      queue,
      result.delivered.map(({ name }) => name),
    );
    sent += result.delivered.length;
    if (result.trouble !== undefined) return { sent, isEmpty: false, trouble: result.trouble };
    // Listed again only when the list is used up: another process may have queued more meanwhile.
    names = names.slice(batch.files.length);
    if (names.length === 0) names = await listQueue(queue);
  }
  return { sent, isEmpty: true, trouble: undefined };
}

/** The names that the first batch from this queue will have. */
export async function firstNames(queue: string): Promise<readonly string[]> {
  return (await listQueue(queue, batchFiles)).map(({ name }) => name);
}
