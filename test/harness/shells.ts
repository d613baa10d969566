import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The directories of PATH, as one text. */
export const pathOfPrograms = process.env['PATH'] ?? '/usr/bin:/bin';

/** The path of a program of this machine. */
export function findInPath(program: string): string | undefined {
  return pathOfPrograms
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

function shellsHere(candidates: readonly (readonly string[])[]) {
  const found = new Map<string, readonly string[]>();
  for (const words of candidates) {
    const path = findInPath(words[0] ?? '');
    const real = path === undefined ? undefined : realpathSync(path);
    if (real !== undefined && !found.has(real)) found.set(real, words);
  }
  return [...found.values()].map((words) => ({ words, shell: words.join(' ') }));
}

/**
 * The sh of a host may be any of these. What this machine lacks is not tried, and none is tried twice: its own sh is one of the
 * others.
 */
export const posixShells = shellsHere([['dash'], ['bash', '--posix'], ['busybox', 'sh'], ['sh']]);

/** Those that run the programs of PATH: busybox runs its own, whatever the PATH says. */
export const plainShells = posixShells.flatMap(({ words: [program = ''] }) =>
  program === 'busybox' ? [] : [program],
);
