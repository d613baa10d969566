import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { describeResult, type RunCommand, succeeded } from '../../system/command.ts';
import { exists, fsyncPath } from '../../system/durable.ts';
import { mkdir, moveIfThere, removeFile, removeTree, rename, symlink } from '../../system/files.ts';
import {
  type FileIdentity,
  identityOf,
  isSameFile,
  isStill,
  isUnchanged,
  type SeenFile,
  type WalFile,
} from '../wal/wal-file.ts';
import type { ShipperPlaces } from './places.ts';
import { findFlaw, provesInWriting, writeProof, writtenStampOf } from './written-proof.ts';

const copyLimitMs = 20_000;

function nextTo(path: string): string {
  return join(dirname(path), `.new.${basename(path)}`);
}

/** Replaces whatever is there by a symbolic link. */
async function placeLink(target: string, path: string): Promise<void> {
  const fresh = nextTo(path);
  await removeFile(fresh);
  await symlink(target, fresh);
  await rename(fresh, path);
}

/**
 * Makes empty files with the names and the exact modification times of others. Node's own utimes takes a floating
 * point number and loses nanoseconds; cp keeps them, for a whole batch in one process.
 *
 * @returns the complaints of cp: a file that has gone meanwhile is no failure of the others, so the caller checks
 * each copy
 */
async function copyTimes(
  run: RunCommand,
  sources: readonly string[],
  directory: string,
): Promise<string | undefined> {
  const flags = ['--attributes-only', '--preserve=timestamps', '--no-dereference'];
  const result = await run(
    { program: 'cp', args: [...flags, '--target-directory', directory, '--', ...sources] },
    { limitMs: copyLimitMs },
  );
  if (succeeded(result)) return undefined;
  const complaint = `cp: ${describeResult(result)}`;
  if (result.kind === 'exited' || result.kind === 'not-started') return complaint;
  throw new PitrError(`cannot make markers in "${directory}": ${complaint}`);
}

/** From here on nothing is proven any more. The stamp is removed first: without it no marker is valid. */
export async function wipeMarkers(places: ShipperPlaces): Promise<void> {
  await removeFile(places.stamp);
  await removeFile(writtenStampOf(places));
  await removeTree(places.written);
  await removeFile(places.current);
  await removeTree(places.marks);
}

/**
 * Withdraws all markers, with the directory in which they are made: before the shipper can leave another one, it must
 * make that directory again, and then it first checks which standbys are abandoned. Call this before a queue is
 * freed. The stamp stays.
 */
export async function withdrawMarkers(places: ShipperPlaces): Promise<void> {
  // The shipper may be putting a marker there at this moment.
  await removeTree(places.marks);
  await fsyncPath(dirname(places.marks));
}

/** Whether the directory for new markers exists. If it does not, the markers were withdrawn. */
export function canLeaveMarkers(places: ShipperPlaces, systemIdentifier: string): Promise<boolean> {
  return exists(stagingDirOf(marksOf(places, systemIdentifier)));
}

function marksOf(places: ShipperPlaces, systemIdentifier: string): string {
  return join(places.marks, systemIdentifier);
}

/** Beside the markers: it is removed when they are withdrawn. */
function writtenMarkOf(marks: string, name: string): string {
  return join(marks, `${name}.written`);
}

/** The directory where markers are made before they are checked and put in their place. */
function stagingDirOf(marks: string): string {
  return join(marks, '.new');
}

/** Makes the directories for the markers of one cluster, and the links that the launcher compares with. */
export async function prepareMarkers(
  places: ShipperPlaces,
  systemIdentifier: string,
  pgdata: string,
): Promise<void> {
  const marks = marksOf(places, systemIdentifier);
  await mkdir(stagingDirOf(marks), { recursive: true, mode: 0o700 });
  await placeLink(pgdata, places.pgdata);
  await placeLink(marks, places.current);
}

/** A second and a nanosecond, or two, after 1970 began. */
const earlierNs = 1_000_000_001n;
const laterNs = 1_000_000_002n;

const noFineTimes = 'two files whose times differ by a nanosecond cannot be made';

async function hasTime(path: string, mtimeNs: bigint): Promise<boolean> {
  const found = await identityOf(path).catch(() => undefined);
  return found?.mtimeNs === mtimeNs;
}

/**
 * These two files show a shell how finely it compares times. Node's utimes loses nanoseconds, touch keeps them.
 *
 * @returns the reason why they do not exist as intended
 */
async function findCoarseness(
  run: RunCommand,
  { earlier, later }: ShipperPlaces,
): Promise<string | undefined> {
  const wanted = [
    [earlier, earlierNs],
    [later, laterNs],
  ] as const;
  for (const [path, mtimeNs] of wanted) {
    if (await hasTime(path, mtimeNs)) continue;
    const time = `@1.00000000${mtimeNs - 1_000_000_000n}`;
    await run({ program: 'touch', args: ['-d', time, '--', path] }, { limitMs: copyLimitMs });
    if (!(await hasTime(path, mtimeNs))) return noFineTimes;
  }
  return undefined;
}

export interface Stamping {
  /** Whether the file is still the one that was read; if not, nothing is proven. */
  readonly isCurrent: boolean;
  /** The reason why the stamp had to be written as text. */
  readonly flaw?: string | undefined;
}

/** Records that the markers are made by this INI file, as it was when it was read. */
export async function stampConfig(
  run: RunCommand,
  places: ShipperPlaces,
  systemIdentifier: string,
  config: SeenFile,
): Promise<Stamping> {
  const stagingDir = stagingDirOf(marksOf(places, systemIdentifier));
  const source = await realpath(config.path);
  const complaint = await copyTimes(run, [source], stagingDir);
  const made = join(stagingDir, basename(source));
  const isExact = await hasTime(made, config.identity.mtimeNs);
  if (!isExact && !(await isStill(config))) return { isCurrent: false };
  await placeLink(source, places.config);
  const flaw = isExact ? await findCoarseness(run, places) : await findFlaw(made, complaint);
  const isStamped = isExact
    ? await moveIfThere(made, places.stamp)
    : await writeProof(places, made, writtenStampOf(places), config.identity);
  if (!isStamped) return { isCurrent: false };
  return { isCurrent: await isStill(config), flaw };
}

/**
 * Leaves markers for files that every standby has, or has in its queue. The caller has made sure that no process
 * reads them from pg_wal any more. A marker is checked before it gets its name: it must have the time that the file
 * had when it was shipped, not the time that the file has now.
 *
 * @returns names of the files that are marked, and why some of the markers had to be written as text
 */
export async function leaveMarkers(
  run: RunCommand,
  places: ShipperPlaces,
  systemIdentifier: string,
  files: readonly WalFile[],
): Promise<{ readonly names: readonly string[]; readonly flaw: string | undefined }> {
  const marks = marksOf(places, systemIdentifier);
  const stagingDir = stagingDirOf(marks);
  const sources = files.map(({ path }) => path);
  const complaint = await copyTimes(run, sources, stagingDir);
  const names: string[] = [];
  let flaw: string | undefined;
  for (const file of files) {
    const { name, path, identity } = file;
    const made = join(stagingDir, basename(path));
    if (await hasTime(made, identity.mtimeNs)) {
      if (await moveIfThere(made, join(marks, name.text))) names.push(name.text);
    } else if (await isStill(file)) {
      const found = await findFlaw(made, complaint);
      if (!(await writeProof(places, made, writtenMarkOf(marks, name.text), identity))) continue;
      flaw = found;
      names.push(name.text);
    }
  }
  return { names, flaw };
}

export async function removeMarker(
  places: ShipperPlaces,
  systemIdentifier: string,
  name: string,
): Promise<void> {
  const marks = marksOf(places, systemIdentifier);
  await removeFile(join(marks, name));
  await removeFile(writtenMarkOf(marks, name));
}

async function hasProof(exact: string, written: string, identity: FileIdentity): Promise<boolean> {
  return (await hasTime(exact, identity.mtimeNs)) || provesInWriting(written, identity);
}

/**
 * Repeats the check that the launcher makes by shell builtins: whether a marker proves this file, by this INI file,
 * of this cluster. A marker or stamp whose time differs in either direction proves nothing.
 */
export async function isProven(
  places: ShipperPlaces,
  systemIdentifier: string,
  configFile: string,
  file: WalFile,
): Promise<boolean> {
  const { text: name } = file.name;
  try {
    const [config, linked, now] = await Promise.all([configFile, places.config, file.path].map(identityOf));
    if (config === undefined || linked === undefined || now === undefined) return false;
    if (!isSameFile(config, linked) || !isUnchanged(now, file.identity)) return false;
    const marks = marksOf(places, systemIdentifier);
    return (
      (await hasProof(join(marks, name), writtenMarkOf(marks, name), now)) &&
      (await hasProof(places.stamp, writtenStampOf(places), config))
    );
  } catch {
    // A part of the proof does not exist or was just removed, so nothing is proven.
    return false;
  }
}
