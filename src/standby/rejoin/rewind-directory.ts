/**
 * The place in which pg_rewind works: a directory in pgdata, to which the cluster's own files are moved. Without
 * PG_VERSION in pgdata no server starts there, whatever kills this program. Configuration and logs
 * stay in pgdata: pg_rewind would replace them by those of the other host.
 */
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { slotsDirectory } from '../../postgres/stream-slot.ts';
import { exists, fsyncPath, readIfExists, writeDurably } from '../../system/durable.ts';
import { mkdir, removeTree, rename } from '../../system/files.ts';
import { mountsBelow } from '../../system/mounts.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { incompleteControlFile, rewindingName } from '../server/data-directory.ts';

/**
 * - `moving`: nothing has changed but the place of the files;
 * - `rewinding`: the files may be half of one history and half of another;
 * - `rewound`: pg_rewind has succeeded.
 */
type NotedPhase = 'moving' | 'rewinding' | 'rewound';

/** `returned`: pg_rewind has succeeded, and its files are in their place; PG_VERSION is the last to come there. */
export type RewindPhase = NotedPhase | 'returned';

const phases: readonly NotedPhase[] = ['moving', 'rewinding', 'rewound'];
const phaseName = 'pitrtools-rewind-phase';

/** The entries of a cluster, in any release; all others in pgdata are the site's own. */
const clusterFiles: ReadonlySet<string> = new Set([
  'PG_VERSION',
  'base',
  'global',
  'pg_clog',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical',
  'pg_multixact',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_xact',
  'pg_xlog',
]);
/** Files that pg_rewind makes for the next start. */
const resultFiles = ['backup_label', 'tablespace_map'];

export function rewindDirectory(pgdata: string): string {
  return join(pgdata, rewindingName);
}

/** Undefined if no rewind was interrupted here. */
export async function rewindPhase(pgdata: string): Promise<RewindPhase | undefined> {
  if (!(await exists(rewindDirectory(pgdata)))) return undefined;
  const text = (await readIfExists(join(pgdata, phaseName)))?.toString('utf8').trim();
  // The phase is written before the directory is made.
  const noted = phases.find((phase) => phase === text) ?? 'rewinding';
  return noted === 'rewound' && (await exists(join(pgdata, 'PG_VERSION'))) ? 'returned' : noted;
}

export async function notePhase(pgdata: string, phase: NotedPhase): Promise<void> {
  await writeDurably(join(pgdata, phaseName), `${phase}\n`);
}

/**
 * Up to 10 pg_rewind copies the replication slots of the other server and removes those that were here: nobody streams
 * by what it leaves, and it would keep WAL here without a limit.
 */
export async function removeCopiedSlots(
  pgdata: string,
  { pgRewindLeavesSlots }: Pick<Capabilities, 'pgRewindLeavesSlots'>,
): Promise<readonly string[]> {
  const directory = join(rewindDirectory(pgdata), slotsDirectory);
  if (pgRewindLeavesSlots || !(await exists(directory))) return [];
  const names = await readdir(directory);
  for (const name of names) await removeTree(join(directory, name));
  await fsyncPath(directory);
  return names.sort();
}

async function moveAll(from: string, to: string, names: readonly string[], move = rename): Promise<void> {
  for (const name of names) await move(join(from, name), join(to, name));
  await fsyncPath(from);
  await fsyncPath(to);
}

/**
 * PG_VERSION goes first: from then on no server starts. One that was started meanwhile would write into the files that
 * pg_rewind changes.
 */
export async function moveIn(pgdata: string, move = rename): Promise<void> {
  const work = rewindDirectory(pgdata);
  await notePhase(pgdata, 'moving');
  await mkdir(work, { mode: 0o700 });
  const names = (await readdir(pgdata)).filter((name) => clusterFiles.has(name));
  await moveAll(pgdata, work, ['PG_VERSION']);
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind === 'running' || postmaster.kind === 'unclear') {
    await moveBack(pgdata);
    const detail = postmaster.kind === 'running' ? `pid ${postmaster.pid}` : postmaster.reason;
    throw new PitrError(`a server was started in "${pgdata}" meanwhile, or perhaps was`, { detail });
  }
  try {
    await moveAll(
      pgdata,
      work,
      names.filter((name) => name !== 'PG_VERSION'),
      move,
    );
  } catch (error) {
    await moveBack(pgdata);
    throw new PitrError(`the files in "${pgdata}" cannot be moved: ${messageOf(error)}`, { cause: error });
  }
}

/** The directories of the cluster that cannot be moved: other file systems are mounted there. */
export async function mountedHere(pgdata: string, mounted = mountsBelow): Promise<readonly string[]> {
  const real = await realpath(pgdata);
  return (await mounted([pgdata]))
    .filter((point) => dirname(point) === real)
    .map((point) => basename(point))
    .filter((name) => clusterFiles.has(name));
}

/** PG_VERSION comes last. Whatever else pg_rewind has brought from the other host goes. */
export async function moveBack(pgdata: string): Promise<void> {
  const work = rewindDirectory(pgdata);
  const names = (await readdir(work)).filter(
    (name) => name !== 'PG_VERSION' && (clusterFiles.has(name) || resultFiles.includes(name)),
  );
  await moveAll(work, pgdata, names);
  if (await exists(join(work, 'PG_VERSION'))) await moveAll(work, pgdata, ['PG_VERSION']);
  if (!(await exists(join(pgdata, 'PG_VERSION')))) throw new PitrError(`there is no PG_VERSION in "${work}"`);
  await removeTree(work);
  // Without its phase, the directory would stand for a rewind that was interrupted.
  await fsyncPath(pgdata);
  await removeTree(join(pgdata, phaseName));
  await fsyncPath(pgdata);
}

/** Puts half-changed files back such that only a base backup can use them. */
export async function moveBackIncomplete(pgdata: string): Promise<void> {
  const work = rewindDirectory(pgdata);
  for (const folder of [work, pgdata]) {
    const control = join(folder, 'global', 'pg_control');
    if (!(await exists(control))) continue;
    await rename(control, join(folder, 'global', incompleteControlFile));
    await fsyncPath(join(folder, 'global'));
  }
  await moveBack(pgdata);
}
