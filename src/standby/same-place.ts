import { join } from 'node:path';
import { isWithin } from '../config/loaded.ts';
import { PitrError } from '../errors.ts';
import { describeResult, succeeded, type RunCommand } from '../system/command.ts';
import { removeDurably, writeDurably, exists } from '../system/durable.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { RemoteShell } from '../system/ssh.ts';
import { isRemoteFile, runRemotely } from './remote-files.ts';

/** How a directory of this host and one of the primary's relate. */
export type Overlap = 'same' | 'holds-theirs' | 'lies-in-theirs';

interface Place {
  /** Device and inode; undefined for a directory that is not there yet. */
  readonly self: string | undefined;
  /** Those of the directories above it, up to the root. */
  readonly above: readonly string[];
}

interface Places {
  /** What distinguishes one running kernel from another: device numbers mean nothing across two of them. */
  readonly kernel: string;
  readonly places: readonly Place[];
}

const localLimitMs = 10_000;

/**
 * Prints the kernel's boot id, then for each path its own device and inode and those of all directories above
 * it; links are resolved by walking up physically. The same script runs on both hosts.
 */
export function placesScript(paths: readonly string[]): string {
  const look = (path: string, index: number) =>
    `p=${shellQuote(path)}; w=self; while [ ! -d "$p" ]; do w=above; p=\${p%/*}; [ -n "$p" ] || p=/; done; ` +
    `(cd -P -- "$p" && while :; do stat -c "${index} $w %d:%i" .; w=above; [ "$PWD" = / ] && break; cd -P ..; done)`;
  return ['cat /proc/sys/kernel/random/boot_id || echo', ...paths.map(look)].join('\n');
}

export function parsePlaces(lines: readonly string[], count: number): Places {
  const [kernel = '', ...rest] = lines;
  const rows = rest.map((line) => line.split(' '));
  const places = Array.from({ length: count }, (_, index) => {
    const own = rows.filter(([row]) => row === String(index));
    const of = (kind: string) =>
      own.flatMap(([, what, id]) => (what === kind && id !== undefined ? [id] : []));
    return { self: of('self')[0], above: of('above') };
  });
  return { kernel, places };
}

/** Undefined where they have nothing to do with each other, or where device numbers cannot tell. */
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
  const local = await run(
    { program: '/bin/sh', args: ['-c', placesScript(ours)] },
    { limitMs: localLimitMs },
  );
  if (!succeeded(local)) throw new PitrError(`cannot look at ${ours.join(', ')}: ${describeResult(local)}`);
  const here = parsePlaces(local.stdout.split('\n'), ours.length);
  const there = parsePlaces((await runRemotely(shell, placesScript(theirs))).lines, theirs.length);
  if (here.kernel === '' || here.kernel !== there.kernel) return [];
  return ours.flatMap((path, i) =>
    theirs.flatMap((other, j) => {
      const [a, b] = [here.places[i], there.places[j]];
      const overlap = a === undefined || b === undefined ? undefined : overlapOf(a, b);
      return overlap === undefined ? [] : [{ ours: path, theirs: other, overlap }];
    }),
  );
}

/** Two directories of this host of which one is, or lies in, the other. */
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
  // By what is on the disk: either may be reached through a link.
  if (overlapOf(placeA, placeB) === 'lies-in-theirs') return { inner: a, outer: b };
  return overlapOf(placeB, placeA) === undefined ? undefined : { inner: b, outer: a };
}

/** Every overlap between directories that are to be filled, or must not be touched, on this host. */
export async function findOwnOverlaps(
  run: RunCommand,
  paths: readonly string[],
): Promise<readonly OwnOverlap[]> {
  const local = await run(
    { program: '/bin/sh', args: ['-c', placesScript(paths)] },
    { limitMs: localLimitMs },
  );
  if (!succeeded(local)) throw new PitrError(`cannot look at ${paths.join(', ')}: ${describeResult(local)}`);
  const { places } = parsePlaces(local.stdout.split('\n'), paths.length);
  return paths.flatMap((path, i) =>
    paths.slice(i + 1).flatMap((other, j) => {
      const found = ownOverlap(path, other, [places[i], places[i + 1 + j]]);
      return found === undefined ? [] : [found];
    }),
  );
}

/**
 * Whether a file that we write into our directory appears in the primary's: the proof that holds across hosts,
 * where both see the same storage. The file is gone again when this returns.
 */
export async function isSharedWith(
  shell: RemoteShell,
  ours: string,
  theirs: string,
  nonce: string,
): Promise<boolean> {
  if (!(await exists(ours))) return false;
  const name = `.pitrtools-probe-${nonce}`;
  try {
    await writeDurably(join(ours, name), '');
    return await isRemoteFile(shell, join(theirs, name));
  } finally {
    await removeDurably(join(ours, name));
  }
}
