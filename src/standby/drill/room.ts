/** The space that a drill may take, and what it must leave to the standby. */
import { lstat, readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { sizeText } from '../../amounts.ts';
import { PitrError, refusal } from '../../errors.ts';
import { diskUseOf } from '../../status/disks.ts';
import { nearestExisting } from '../../system/durable.ts';
import { clones } from '../../system/files.ts';
import type { StandbyDeps } from '../deps.ts';
import { directoriesOf, type Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';

/** Refuses a copy for which there is no room. */
export async function requireRoom(
  { settings }: Pick<StandbyDeps, 'settings'>,
  { directory }: DrillPlace,
  needed: number,
): Promise<void> {
  const { drill_limit: limit, drill_reserve: reserve } = settings;
  if (limit !== undefined && needed > limit)
    throw refusal(`the copy would take ${sizeText(needed)}, and drill_limit is ${sizeText(limit)}`, {
      hint: 'Raise drill_limit.',
    });
  const { freeBytes } = await diskUseOf(await nearestExisting(directory));
  if (needed + reserve <= freeBytes) return;
  throw refusal(
    `the copy would take ${sizeText(needed)}, and "${directory}" has ${sizeText(freeBytes)} free, of which drill_reserve leaves ${sizeText(reserve)} to the standby`,
    { hint: 'Free space there, or choose a drill_dir on another file system.' },
  );
}

/** Whether a file of the standby can be copied without taking space. The directory of the run must exist. */
export async function sharesBlocks({ pgdata, run }: { readonly pgdata: string; readonly run: string }) {
  return clones(join(pgdata, 'PG_VERSION'), join(run, 'probe'));
}

/** Magic numbers of file systems on which no file shares blocks with another one: ext2 to ext4, and tmpfs. */
const neverShare = new Set([0xef53, 0x01021994]);

/** Whether the same may be so of a directory that need not exist yet. Writes nothing, so that it cannot know. */
export async function mayShareBlocks(directory: string): Promise<boolean> {
  return !neverShare.has((await statfs(await nearestExisting(directory))).type);
}

/**
 * Like requireRoom, before a directory exists: what would fit only on a file system that shares blocks is no more than a doubt.
 *
 * @param least the part that takes space in any case
 * @returns the doubt
 */
export async function roomInDoubt(
  deps: Pick<StandbyDeps, 'settings'>,
  place: DrillPlace,
  needed: number,
  least: number,
): Promise<PitrError | undefined> {
  await requireRoom(deps, place, least);
  try {
    await requireRoom(deps, place, needed);
    return undefined;
  } catch (error) {
    if (error instanceof PitrError) return error;
    throw error;
  }
}

const statBlockBytes = 512;

/** The space that a directory takes; what is removed meanwhile does not count. */
async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += await bytesIn(path);
    else bytes += ((await lstat(path).catch(() => undefined))?.blocks ?? 0) * statBlockBytes;
  }
  return bytes;
}

/**
 * The system counts shared blocks in each file. At least so much is taken: a block that recovery writes is shared no longer, which
 * nothing shows.
 */
export async function bytesTaken(directory: string, sharedBytes: number): Promise<number> {
  return Math.max(0, (await bytesIn(directory)) - sharedBytes);
}

/** The directories of the standby that lie on the file system of the drill: only there can the drill take its space. */
export async function sharedDirectories(
  origin: Origin,
  { directory }: DrillPlace,
): Promise<readonly string[]> {
  const { dev } = await stat(directory);
  const shared: string[] = [];
  for (const path of [
    ...directoriesOf(origin),
    join(origin.server.pgdata, origin.server.capabilities.walDirName),
  ])
    if ((await stat(path).catch(() => undefined))?.dev === dev) shared.push(path);
  return shared;
}

/** The error by which a drill gives up; undefined as long as there is room. */
export async function findNoRoom(
  { settings }: Pick<StandbyDeps, 'settings'>,
  shared: readonly string[],
): Promise<PitrError | undefined> {
  for (const path of shared) {
    const { freeBytes } = await diskUseOf(path);
    if (freeBytes >= settings.drill_reserve) continue;
    return new PitrError(
      `the drill gave up: the standby needs its disk: ${sizeText(freeBytes)} are free at "${path}", less than drill_reserve`,
      { hint: 'Choose a drill_dir on another file system, or free space.' },
    );
  }
  return undefined;
}
