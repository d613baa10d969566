import { mkdir, realpath, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { describeResult, succeeded, type RunCommand } from '../../system/command.ts';
import { exists, fsyncPath, systemErrorCode } from '../../system/durable.ts';
import { identityOf, isSameFile, isUnchanged, type FileIdentity, type WalFile } from '../wal-file.ts';
import type { ShipperPlaces } from './places.ts';

/** An INI file as it was when it was read. */
export interface ConfigIdentity {
  readonly file: string;
  readonly identity: FileIdentity;
}

const copyLimitMs = 20_000;

function nextTo(path: string): string {
  return join(dirname(path), `.new.${basename(path)}`);
}

/** Puts a symbolic link in the place of whatever was there. */
async function placeLink(target: string, path: string): Promise<void> {
  const fresh = nextTo(path);
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  await rename(fresh, path);
}

/**
 * Makes empty files with the names and the exact modification times of others. Node's own utimes takes a floating point
 * number and loses nanoseconds; cp keeps them, for a whole batch in one process.
 */
async function copyTimes(run: RunCommand, sources: readonly string[], directory: string): Promise<void> {
  const flags = ['--attributes-only', '--preserve=timestamps', '--no-dereference'];
  const result = await run(
    { program: 'cp', args: [...flags, '--target-directory', directory, '--', ...sources] },
    { limitMs: copyLimitMs },
  );
  // A segment that went away meanwhile is no failure of the others: each copy is looked at.
  if (succeeded(result) || result.kind === 'exited') return;
  throw new PitrError(`cannot make markers in "${directory}": cp: ${describeResult(result)}`);
}

/** From here on nothing is proven any more. The stamp goes first: without it no marker counts. */
export async function wipeMarkers(places: ShipperPlaces): Promise<void> {
  await rm(places.stamp, { force: true });
  await rm(places.current, { force: true });
  await rm(places.marks, { recursive: true, force: true });
}

/**
 * Takes back every marker, with the directory in which they are made: the shipper cannot leave another one before it has made
 * that anew, and then it looks first at who was abandoned. To be done before a queue is freed. The stamp stays.
 */
export async function withdrawMarkers(places: ShipperPlaces): Promise<void> {
  // The shipper may be putting one there at this moment.
  await rm(places.marks, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  await fsyncPath(dirname(places.marks));
}

/** Whether the directory for markers is there: if not, they were withdrawn. */
export function canLeaveMarkers(places: ShipperPlaces, systemIdentifier: string): Promise<boolean> {
  return exists(workshopOf(marksOf(places, systemIdentifier)));
}

function marksOf(places: ShipperPlaces, systemIdentifier: string): string {
  return join(places.marks, systemIdentifier);
}

/** Where markers are made before they are looked at and put in their place. */
function workshopOf(marks: string): string {
  return join(marks, '.new');
}

/** Makes room for the marks of one cluster; what they are compared with goes beside them. */
export async function prepareMarkers(
  places: ShipperPlaces,
  systemIdentifier: string,
  pgdata: string,
): Promise<void> {
  const marks = marksOf(places, systemIdentifier);
  await mkdir(workshopOf(marks), { recursive: true, mode: 0o700 });
  await placeLink(pgdata, places.pgdata);
  await placeLink(marks, places.current);
}

async function hasTimeOf(path: string, identity: FileIdentity): Promise<boolean> {
  const made = await identityOf(path).catch(() => undefined);
  return made?.mtimeNs === identity.mtimeNs;
}

/**
 * Says that marks are made by this INI file.
 *
 * @returns whether it is still the file that was read; if not, there is no stamp
 */
export async function stampConfig(
  run: RunCommand,
  places: ShipperPlaces,
  systemIdentifier: string,
  config: ConfigIdentity,
): Promise<boolean> {
  const workshop = workshopOf(marksOf(places, systemIdentifier));
  const source = await realpath(config.file);
  await copyTimes(run, [source], workshop);
  const made = join(workshop, basename(source));
  if (!(await hasTimeOf(made, config.identity))) return false;
  await placeLink(source, places.config);
  await rename(made, places.stamp);
  return isConfigUnchanged(config);
}

export async function isConfigUnchanged({ file, identity }: ConfigIdentity): Promise<boolean> {
  const now = await identityOf(file).catch(() => undefined);
  return now !== undefined && isUnchanged(now, identity);
}

async function isMoved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    // Withdrawn at this moment.
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Leaves markers for files that are safe at, or queued for, every standby. The caller has seen to it that no process reads
 * them from pg_wal any more. A marker is looked at before it gets its name: it must carry the time that the file had when
 * it was shipped, not the one that it has now.
 *
 * @returns names of the files that are marked
 */
export async function leaveMarkers(
  run: RunCommand,
  places: ShipperPlaces,
  systemIdentifier: string,
  files: readonly WalFile[],
): Promise<readonly string[]> {
  const marks = marksOf(places, systemIdentifier);
  const workshop = workshopOf(marks);
  const sources = files.map(({ path }) => path);
  await copyTimes(run, sources, workshop);
  const left: string[] = [];
  for (const { name, path, identity } of files) {
    const made = join(workshop, basename(path));
    if (!(await hasTimeOf(made, identity))) continue;
    if (await isMoved(made, join(marks, name.name))) left.push(name.name);
  }
  return left;
}

export async function removeMarker(
  places: ShipperPlaces,
  systemIdentifier: string,
  name: string,
): Promise<void> {
  await rm(join(marksOf(places, systemIdentifier), name), { force: true });
}

/**
 * What the launcher asks by shell builtins, asked once more: whether a marker proves this file, by this INI file, of this
 * cluster. A marker or stamp whose time differs in either direction proves nothing.
 */
export async function isProven(
  places: ShipperPlaces,
  systemIdentifier: string,
  configFile: string,
  file: WalFile,
): Promise<boolean> {
  const marker = join(marksOf(places, systemIdentifier), file.name.name);
  if (!(await exists(marker)) || !(await exists(places.stamp))) return false;
  try {
    const [config, linked, stamp, made, now] = await Promise.all(
      [configFile, places.config, places.stamp, marker, file.path].map(identityOf),
    );
    if (config === undefined || linked === undefined || stamp === undefined) return false;
    if (made === undefined || now === undefined) return false;
    if (!isSameFile(config, linked) || stamp.mtimeNs !== config.mtimeNs) return false;
    return made.mtimeNs === now.mtimeNs && isUnchanged(now, file.identity);
  } catch {
    // Something of it has just gone: then it proves nothing.
    return false;
  }
}
