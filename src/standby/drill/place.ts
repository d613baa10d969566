/**
 * The directory of the drills: `drill_dir`. All that a drill makes lies in one directory in it, `run`, so that whatever a
 * killed drill has left can be found and removed.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError, refusal } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { ensureDirectory, exists, requireOwnDirectory, writeDurably } from '../../system/durable.ts';
import { type Lock, takeLock } from '../../system/lock.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import type { StandbyDeps } from '../deps.ts';
import { findOwnOverlaps } from '../host/same-place.ts';
import { backupNoteName } from '../primary/backup-in-progress.ts';
import { readCapabilities } from '../server/data-directory.ts';
import { stopServerAtOnce } from '../server/local-server.ts';
import { serverOf } from '../server/server.ts';
import { settledPostmaster } from '../server/server-state.ts';
import { depsOfCopy } from './copy-server.ts';
import { removeSnapshot, snapshotPgdata } from './snapshot.ts';
import { startStandbyAgain } from './stop-standby.ts';

export interface DrillPlace {
  readonly directory: string;
  /** All that one drill makes. */
  readonly run: string;
  readonly pgdata: string;
  /** A directory for each tablespace, named by its number. */
  readonly tablespaces: string;
  /** The archive as the copy sees it. */
  readonly archive: string;
  readonly sockets: string;
  readonly log: string;
}

const markName = '.pitrtools-drill';
const lockName = '.lock';
/** The result of the last drill. */
export const lastName = 'last.json';
const ownNames = new Set([markName, lockName, lastName, backupNoteName, 'run', 'lost+found']);

export function drillPlace(directory: string): DrillPlace {
  const run = join(directory, 'run');
  return {
    directory,
    run,
    pgdata: join(run, 'pgdata'),
    tablespaces: join(run, 'tablespaces'),
    archive: join(run, 'archive'),
    sockets: join(run, 's'),
    log: join(run, 'server.log'),
  };
}

/** sun_path holds 108 bytes. */
const longestSocket = 107;
const socketName = '.s.PGSQL.65432';

function requireShortPath({ sockets, directory }: DrillPlace): void {
  if (Buffer.byteLength(join(sockets, socketName)) <= longestSocket) return;
  throw refusal(
    `drill_dir "${directory}" is too long: a socket in it must have at most ${longestSocket} bytes`,
    {
      hint: 'Choose a shorter path.',
    },
  );
}

/** Nothing of the standby may lie in it, and it may lie in nothing of the standby. */
async function requireApart({ run }: StandbyDeps, directory: string, ours: readonly string[]): Promise<void> {
  const found = (await findOwnOverlaps(run, [directory, ...ours])).find(
    ({ inner, outer }) => inner === directory || outer === directory,
  );
  if (found === undefined) return;
  const other = found.inner === directory ? found.outer : found.inner;
  throw refusal(`drill_dir "${directory}" and "${other}" overlap`, {
    hint: 'Choose a directory that is for nothing else.',
  });
}

/** Others who can write there could put other files in the place of the copy's. */
async function requireOurs(directory: string): Promise<void> {
  await requireOwnDirectory(directory).catch((error: unknown) => {
    if (!(error instanceof PitrError)) throw error;
    const { message, detail, hint } = error;
    throw refusal(`drill_dir: ${message}`, { detail, hint });
  });
}

async function requireOnlyOurs({ directory }: DrillPlace): Promise<void> {
  if (!(await exists(directory))) return;
  await requireOurs(directory);
  const foreign = (await readdir(directory)).filter((name) => !ownNames.has(name) && !name.endsWith('.tmp'));
  const [first] = foreign.sort();
  if (first === undefined) return;
  throw refusal(`drill_dir "${directory}" is not empty: "${first}"`, {
    hint: 'Choose a directory that is for nothing else.',
  });
}

/** Up to 9.5 a killed drill from a new base backup may have left one on the primary. */
export async function hasNotedBackup({ directory }: DrillPlace): Promise<boolean> {
  return exists(join(directory, backupNoteName));
}

/** Refuses a directory that cannot be one for drills. Changes nothing. */
export async function requirePlace(
  deps: StandbyDeps,
  place: DrillPlace,
  ours: readonly string[],
): Promise<void> {
  requireShortPath(place);
  await requireApart(deps, place.directory, ours);
  await requireOnlyOurs(place);
}

/** The copy of a killed run holds the lock until it has ended. */
const lockWaitMs = 10_000;

/** Makes the directory, and excludes other drills. */
export async function claimPlace(deps: StandbyDeps, { directory }: DrillPlace): Promise<Lock> {
  await ensureDirectory(directory);
  const lock = await takeLock(deps.run, join(directory, lockName), lockWaitMs);
  if (lock === undefined)
    throw refusal('another drill, or the copy that it began, is still running', {
      hint: `Wait until it has ended. To see which process it is: fuser -v ${join(directory, lockName)}`,
    });
  await writeDurably(join(directory, markName), 'The directory of cmd_standby --drill.\n');
  return lock;
}

/** Ends the server on a copy. */
async function endServer(deps: StandbyDeps, place: DrillPlace): Promise<void> {
  const postmaster = await readPostmaster(place.pgdata);
  if (postmaster.kind === 'none' || postmaster.kind === 'stale') return;
  const copy = depsOfCopy(deps, place, new Map());
  if (postmaster.kind === 'running') {
    await stopServerAtOnce(serverOf(copy, await readCapabilities(place.pgdata)));
    return;
  }
  const settled = await settledPostmaster(copy);
  if (settled.kind !== 'unclear') return;
  throw new PitrError(`the server of a drill cannot be ended: ${settled.reason}`, {
    hint: `End those processes, then remove "${place.run}".`,
  });
}

const removeMs = 3_600_000;

/** Removes all that a drill has made; also what a killed one has left. Nothing outside is touched, not even by a mount in it. */
export async function discard(deps: StandbyDeps, place: DrillPlace): Promise<void> {
  if (!(await exists(place.run))) return;
  await endServer(deps, { ...place, pgdata: (await snapshotPgdata(place)) ?? place.pgdata });
  await removeSnapshot(deps, place);
  await startStandbyAgain(deps, place);
  const command = { program: 'rm', args: ['-rf', '--one-file-system', '--', place.run] };
  const result = await deps.run(command, { limitMs: removeMs });
  if (succeeded(result) && !(await exists(place.run))) return;
  throw new PitrError(`"${place.run}" cannot be removed`, {
    detail: describeResult(result),
    hint: 'Remove it: it is the copy of a drill, and nothing of the standby.',
  });
}
