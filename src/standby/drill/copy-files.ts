/** Copies files of this host by cp(1): as reflinks where the file system has them, and never as hard links. */
import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { exists } from '../../system/durable.ts';
import { mkdir } from '../../system/files.ts';
import type { StandbyDeps } from '../deps.ts';
import { politeSessionWords } from '../host/politeness.ts';
import { portionsOf, type SizedFile } from './portions.ts';
import type { Tree } from './tree.ts';

/**
 * xargs(1) hands over as many names at once as a command line holds. What was copied is flushed at once, if wanted: the disk would
 * otherwise get all of it at the first flush of the copy's server, when others wait for the disk, too. It is no failure if
 * that cannot be done: nobody needs the copy after a crash.
 */
const copyScript =
  'cp --parents --preserve=mode,timestamps --reflink=auto --target-directory="$0" -- "$@"; status=$?; ' +
  'if [ -n "$FLUSH" ]; then cd -- "$0" && sync -d -- "$@" 2>/dev/null; fi; exit $status';
const script = 'cd -- "$1" && exec xargs -0 -r sh -c "$3" "$2"';

/** The size that is written before it is flushed, and before a pause for `drill_rate`. */
const portionBytes = 32 * 1024 * 1024;

/** Each line that a copy prints of a file that the server has removed meanwhile. */
const vanished = /: No such file or directory$/;

async function isCopied(from: string, to: string): Promise<boolean> {
  if (await exists(to)) return true;
  return !(await exists(from));
}

/** A copy that failed for any other reason than a file that has gone is no copy. */
async function requireAll({ root, files }: Tree, target: string): Promise<void> {
  for (const path of files) {
    if (await isCopied(join(root, path), join(target, path))) continue;
    throw new PitrError(`"${join(root, path)}" was not copied`);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

export interface CopyManner {
  /** A server runs on the tree, and may remove files. */
  readonly mayVanish: boolean;
  /** The standby is stopped meanwhile: nothing is spared. */
  readonly isHurried: boolean;
  readonly limitMs: number;
}

async function copyPortion(
  deps: StandbyDeps,
  root: string,
  paths: readonly string[],
  target: string,
  { mayVanish, isHurried, limitMs }: CopyManner,
): Promise<void> {
  const { drill_nice, drill_ionice } = deps.settings;
  const words = [...politeSessionWords(drill_nice, drill_ionice), 'sh', '-c', script, 'sh'];
  const [program, ...args] = [...words, root, target, copyScript];
  const { lockFd, signal } = deps;
  const result = await deps.run(
    { program, args },
    {
      limitMs,
      input: paths.map((path) => `${path}\0`).join(''),
      signal,
      // After our own death, the next drill waits until the copy has ended.
      heldFds: lockFd === undefined ? [] : [lockFd],
      env: { LC_ALL: 'C', FLUSH: isHurried ? '' : 'yes' },
    },
  );
  signal.throwIfAborted();
  if (succeeded(result)) return;
  const said = result.stderr.trim().split('\n');
  if (!mayVanish || result.kind !== 'exited' || !said.every((line) => vanished.test(line)))
    throw new PitrError(`the files of "${root}" cannot be copied`, { detail: describeResult(result) });
}

/** Copies the tree into a new directory, no faster than `drill_rate`. */
export async function copyTree(
  deps: StandbyDeps,
  tree: Tree,
  target: string,
  manner: CopyManner,
): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 });
  for (const path of tree.directories) await mkdir(join(target, path), { recursive: true, mode: 0o700 });
  const files: SizedFile[] = [];
  for (const path of tree.files) files.push({ path, bytes: await sizeOf(join(tree.root, path)) });
  const { drill_rate: rate } = deps.settings;
  let dueMs = deps.monotonicMs();
  for (const { paths, bytes } of portionsOf(files, portionBytes)) {
    await copyPortion(deps, tree.root, paths, target, manner);
    if (rate === undefined || rate === 0 || manner.isHurried) continue;
    dueMs += (bytes / rate) * 1000;
    await deps.pause(Math.max(0, dueMs - deps.monotonicMs()));
  }
  await requireAll(tree, target);
}

/** Copies one file under another name. */
export async function copyOne(deps: StandbyDeps, from: string, to: string): Promise<void> {
  const { drill_nice, drill_ionice } = deps.settings;
  const words = [
    ...politeSessionWords(drill_nice, drill_ionice),
    'cp',
    '--preserve=mode,timestamps',
    '--reflink=auto',
  ];
  const [program, ...args] = [...words, '--', from, to];
  const { lockFd, signal } = deps;
  const heldFds = lockFd === undefined ? [] : [lockFd];
  const result = await deps.run({ program, args }, { limitMs: 600_000, signal, heldFds });
  signal.throwIfAborted();
  if (succeeded(result) && (await lstat(to)).isFile()) return;
  throw new PitrError(`"${from}" cannot be copied`, { detail: describeResult(result) });
}
