/** Copies files of this host by cp(1): as reflinks where the file system has them, and never as hard links. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { exists } from '../../system/durable.ts';
import { mkdir } from '../../system/files.ts';
import type { StandbyDeps } from '../deps.ts';
import { politeSessionWords } from '../host/politeness.ts';
import type { Tree } from './tree.ts';

/** xargs(1) hands over as many names at once as a command line holds. */
const script =
  'cd -- "$1" && exec xargs -0 -r cp --parents --preserve=mode,timestamps --reflink=auto --target-directory="$2" --';

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

/**
 * Copies the tree into a new directory.
 *
 * @param mayVanish a server runs on the tree, and may remove files
 */
export async function copyTree(
  deps: StandbyDeps,
  tree: Tree,
  target: string,
  { mayVanish, limitMs }: { readonly mayVanish: boolean; readonly limitMs: number },
): Promise<void> {
  const { drill_nice, drill_ionice } = deps.settings;
  await mkdir(target, { recursive: true, mode: 0o700 });
  for (const path of tree.directories) await mkdir(join(target, path), { recursive: true, mode: 0o700 });
  const [program, ...args] = [...politeSessionWords(drill_nice, drill_ionice), 'sh', '-c', script, 'sh'];
  const command = { program, args: [...args, tree.root, target] };
  const input = tree.files.map((path) => `${path}\0`).join('');
  const { lockFd, signal } = deps;
  const result = await deps.run(command, {
    limitMs,
    input,
    signal,
    // After our own death, the next drill waits until the copy has ended.
    heldFds: lockFd === undefined ? [] : [lockFd],
    env: { LC_ALL: 'C' },
  });
  signal.throwIfAborted();
  if (!succeeded(result)) {
    const said = result.stderr.trim().split('\n');
    if (!mayVanish || result.kind !== 'exited' || !said.every((line) => vanished.test(line)))
      throw new PitrError(`the files of "${tree.root}" cannot be copied`, { detail: describeResult(result) });
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
