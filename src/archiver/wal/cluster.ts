import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError, refusal } from '../../errors.ts';
import { checkControlFile, type ControlFileCheck, systemIdentifierOf } from '../../postgres/control-file.ts';
import { readIfExists, writeDurably } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Layout } from '../layout.ts';

/** The facts about the cluster in pgdata that determine what may be shipped. */
export interface Cluster {
  /** Decimal. */
  readonly systemIdentifier: string;
  /** The location of the last checkpoint; undefined if the layout of pg_control is unknown. */
  readonly timeline: number | undefined;
  /** In bytes; undefined if the layout of pg_control is unknown. */
  readonly segmentSize?: number | undefined;
  /** It replays another server's WAL: it is itself a standby. */
  readonly isInRecovery: boolean;
  /**
   * Set while this host, a standby, feeds others: the archivedir from which it does. It then gives WAL although it is
   * itself in recovery, and `isInRecovery` is false.
   */
  readonly relayedFrom?: string | undefined;
}

const recoveryStates: readonly string[] = ['in-archive-recovery', 'shut-down-in-recovery'];

/** The server may be writing the file while we read it; a write takes far less than the time between two tries. */
const attempts = 3;

async function readControl(path: string): Promise<{ bytes: Buffer; check: ControlFileCheck }> {
  for (let attempt = 1; ; attempt += 1) {
    const bytes = await readFile(path).catch((error: unknown) => {
      throw new PitrError(`cannot read "${path}"`, {
        detail: messageOf(error),
        hint: 'Key pgdata: must name the data directory of the primary on this host.',
        cause: error,
      });
    });
    const check = checkControlFile(bytes);
    if (check.kind === 'good' || attempt === attempts) return { bytes, check };
  }
}

export async function readCluster(pgdata: string): Promise<Cluster> {
  const path = join(pgdata, 'global', 'pg_control');
  const { bytes, check } = await readControl(path);
  if (check.kind === 'good') {
    const { systemIdentifier, state, timeline, walSegmentSize: segmentSize } = check.control;
    return { systemIdentifier, timeline, segmentSize, isInRecovery: recoveryStates.includes(state) };
  }
  // A layout newer than this program: the identifier is at the same offset all the same.
  const systemIdentifier = systemIdentifierOf(bytes);
  if (systemIdentifier === undefined) throw new PitrError(`"${path}" is damaged: ${check.reason}`);
  return { systemIdentifier, timeline: undefined, isInRecovery: false };
}

export async function readPinnedIdentifier(layout: Layout): Promise<string | undefined> {
  const content = await readIfExists(layout.systemIdentifier);
  if (content === undefined) return undefined;
  const text = content.toString('utf8').trim();
  if (/^\d+$/.test(text)) return text;
  throw new PitrError(`"${layout.systemIdentifier}" holds no system identifier but "${text}"`);
}

function otherCluster(layout: Layout, pinned: string, cluster: Cluster, pgdata: string): PitrError {
  return refusal(
    `"${layout.root}" belongs to cluster ${pinned}, but "${pgdata}" is cluster ${cluster.systemIdentifier}`,
    {
      hint: 'Each cluster needs an INI file with its own pgdata and l_archivedir. If the cluster was made anew here, move the old l_archivedir away and run -I.',
    },
  );
}

/** Binds l_archivedir to the cluster: from then on no other cluster's WAL gets in. */
export async function pinCluster(layout: Layout, cluster: Cluster, pgdata: string): Promise<void> {
  const pinned = await readPinnedIdentifier(layout);
  if (pinned === undefined) await writeDurably(layout.systemIdentifier, `${cluster.systemIdentifier}\n`);
  else if (pinned !== cluster.systemIdentifier) throw otherCluster(layout, pinned, cluster, pgdata);
}

/** The identifier that `-I` left there. It proves that l_archivedir is ours, and mounted. */
export async function requirePinnedDirectory(layout: Layout): Promise<string> {
  const pinned = await readPinnedIdentifier(layout);
  if (pinned !== undefined) return pinned;
  throw refusal(`"${layout.root}" is not initialized`, {
    hint: 'Run cmd_archiver -C FILE -I once. If you have done that already, the file system of l_archivedir may be unmounted.',
  });
}

/** The cluster in pgdata; throws unless l_archivedir was bound to it. */
export async function readPinnedCluster({ layout, settings }: ArchiverDeps): Promise<Cluster> {
  const cluster = await readCluster(settings.pgdata);
  const pinned = await requirePinnedDirectory(layout);
  if (pinned !== cluster.systemIdentifier) throw otherCluster(layout, pinned, cluster, settings.pgdata);
  return cluster;
}
