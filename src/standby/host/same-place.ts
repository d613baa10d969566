import { join } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import { PitrError } from '../../errors.ts';
import { describeResult, type RunCommand, succeeded } from '../../system/command.ts';
import { exists, removeDurably, systemErrorCode, writeDurably } from '../../system/durable.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import { placesScript } from '../../verbs/scripts/places.ts';
import { runRemotely } from '../primary/remote-files.ts';

/** How a directory of this host and one of the primary's relate. */
export type Overlap = 'same' | 'holds-theirs' | 'lies-in-theirs';

interface Place {
  /** Device and inode; undefined as long as the directory does not exist. */
  readonly self: string | undefined;
  /** Device and inode of the directories above it, up to the root. */
  readonly above: readonly string[];
}

interface Places {
  /** The boot id, which distinguishes one running kernel from another: device numbers mean nothing across two of them. */
  readonly kernel: string;
  readonly places: readonly Place[];
}

const localLimitMs = 10_000;

export function parsePlaces(lines: readonly string[], count: number): Places {
  const [kernel = '', ...rest] = lines;
  const byPath = new Map<string, string[]>();
  const selves = new Set<string>();
  for (const [index = '', kind, id] of rest.map((line) => line.split(' '))) {
    if (id === undefined) continue;
    if (kind === 'self') selves.add(index);
    byPath.set(index, [...(byPath.get(index) ?? []), id]);
  }
  const places = Array.from({ length: count }, (_, index) => {
    const ids = byPath.get(String(index)) ?? [];
    const isThere = selves.has(String(index));
    return { self: isThere ? ids[0] : undefined, above: isThere ? ids.slice(1) : ids };
  });
  return { kernel, places };
}

/** Looks at directories of this host. */
async function placesHere(run: RunCommand, paths: readonly string[]): Promise<Places> {
  const result = await run(
    { program: '/bin/sh', args: ['-c', placesScript(paths)] },
    { limitMs: localLimitMs },
  );
  if (succeeded(result)) return parsePlaces(result.stdout.split('\n'), paths.length);
  throw new PitrError(`cannot look at ${paths.join(', ')}: ${describeResult(result)}`);
}

/** Undefined if neither contains the other, or if device numbers prove nothing. */
export function overlapOf(ours: Place, theirs: Place): Overlap | undefined {
  if (theirs.self === undefined) return undefined;
  if (ours.self === theirs.self) return 'same';
  if (ours.self !== undefined && theirs.above.includes(ours.self)) return 'holds-theirs';
  return ours.above.includes(theirs.self) ? 'lies-in-theirs' : undefined;
}

export interface FoundOverlap {
  readonly ours: string;
  readonly theirs: string;
  readonly overlap: Overlap;
}

/** Every overlap between directories of ours and of the primary's, on a host that may be the primary itself. */
export async function findOverlaps(
  run: RunCommand,
  shell: RemoteShell,
  ours: readonly string[],
  theirs: readonly string[],
): Promise<readonly FoundOverlap[]> {
  const here = await placesHere(run, ours);
  const there = parsePlaces(
    (await runRemotely(shell, dataWork('places', { paths: theirs }))).lines,
    theirs.length,
  );
  if (here.kernel === '' || here.kernel !== there.kernel) return [];
  return ours.flatMap((path, i) =>
    theirs.flatMap((other, j) => {
      const [a, b] = [here.places[i], there.places[j]];
      const overlap = a === undefined || b === undefined ? undefined : overlapOf(a, b);
      return overlap === undefined ? [] : [{ ours: path, theirs: other, overlap }];
    }),
  );
}

/** Two directories of this host, of which one contains the other or is the same. */
export interface OwnOverlap {
  readonly inner: string;
  readonly outer: string;
}

function ownOverlap(
  a: string,
  b: string,
  [placeA, placeB]: readonly [Place | undefined, Place | undefined],
): OwnOverlap | undefined {
  if (isWithin(a, b)) return { inner: a, outer: b };
  if (isWithin(b, a)) return { inner: b, outer: a };
  if (placeA === undefined || placeB === undefined) return undefined;
  // Compared by what is on the disk: either may be reached through a link.
  if (overlapOf(placeA, placeB) === 'lies-in-theirs') return { inner: a, outer: b };
  return overlapOf(placeB, placeA) === undefined ? undefined : { inner: b, outer: a };
}

/** Every overlap between directories of this host that must be filled or must not be touched. */
export async function findOwnOverlaps(
  run: RunCommand,
  paths: readonly string[],
): Promise<readonly OwnOverlap[]> {
  const { places } = await placesHere(run, paths);
  return paths.flatMap((path, i) =>
    paths.slice(i + 1).flatMap((other, j) => {
      const found = ownOverlap(path, other, [places[i], places[i + 1 + j]]);
      return found === undefined ? [] : [found];
    }),
  );
}

function sharedIn(
  line: string,
  ours: readonly string[],
  theirs: readonly string[],
): FoundOverlap | undefined {
  const [, their, our] = /^(\d+) (\d+|\?)$/.exec(line) ?? [];
  const other = theirs[Number(their)];
  // A probe that cannot be read there is still in some directory of ours.
  const path = ours[Number(our)] ?? ours[0];
  return other === undefined || path === undefined
    ? undefined
    : { ours: path, theirs: other, overlap: 'same' };
}

/**
 * A disk that an earlier copy filled may have room for a file but not for its contents: the file is found all the
 * same.
 */
async function writeProbe(path: string, index: number): Promise<void> {
  try {
    await writeDurably(path, `${index}\n`);
  } catch (error) {
    if (!(error instanceof PitrError) || systemErrorCode(error.cause) !== 'ENOSPC') throw error;
    await writeDurably(path, '');
  }
}

/**
 * Writes a file into directories of ours and looks for it in the primary's: this proof also works between hosts, if
 * both see the same storage. There is one file in each of ours, which says whose it is, and one look at each of
 * theirs: a network file system might answer a listing from its cache. The files are removed again when this returns.
 */
export async function findShared(
  shell: RemoteShell,
  ours: readonly string[],
  theirs: readonly string[],
  nonce: string,
): Promise<readonly FoundOverlap[]> {
  const name = `.pitrtools-probe-${nonce}`;
  const here: (readonly [path: string, index: number])[] = [];
  for (const [index, path] of ours.entries()) if (await exists(path)) here.push([path, index]);
  if (here.length === 0) return [];
  try {
    // All of them must end: then none is written after it was removed.
    const written = await Promise.allSettled(
      here.map(([path, index]) => writeProbe(join(path, name), index)),
    );
    for (const write of written) if (write.status === 'rejected') throw write.reason;
    const { lines } = await runRemotely(shell, dataWork('probes', { probe: nonce, paths: theirs }));
    return lines.flatMap((line) => sharedIn(line, ours, theirs) ?? []);
  } finally {
    await Promise.all(here.map(([path]) => removeDurably(join(path, name))));
  }
}
