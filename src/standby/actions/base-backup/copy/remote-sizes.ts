import { shellQuote } from '../../../../system/shell-quote.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { runRemotely } from '../../../primary/remote-files.ts';

const pathsAtOnce = 500;

/**
 * A planned path as a word for the shell, whatever its bytes are. The dot at its end protects line feeds, which the
 * shell would remove there.
 */
export function dottedWord(path: string): string {
  if (/^[\x20-\x7e]*$/.test(path)) return shellQuote(`${path}.`);
  const bytes = [...Buffer.from(path, 'latin1')].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`);
  return `"$(printf '%b.' '${bytes.join('')}')"`;
}

function sizesScript(source: string, paths: readonly string[]): string {
  return [
    `cd -- ${shellQuote(source)} || exit 0`,
    'i=0',
    `for p in ${paths.map(dottedWord).join(' ')}; do p=./\${p%.}; s=$(stat -L -c %s -- "$p" 2>/dev/null) && echo "$i $s"; i=$((i + 1)); done; :`,
  ].join('\n');
}

/** The present sizes of these files on the primary; undefined for a file that was removed. */
export async function sizesOnPrimary(
  shell: RemoteShell,
  source: string,
  paths: readonly string[],
): Promise<readonly (number | undefined)[]> {
  const sizes = new Map<number, number>();
  for (let start = 0; start < paths.length; start += pathsAtOnce) {
    const script = sizesScript(source, paths.slice(start, start + pathsAtOnce));
    for (const line of (await runRemotely(shell, script)).lines) {
      const [, index, size] = /^(\d+) (\d+)$/.exec(line) ?? [];
      if (index !== undefined) sizes.set(start + Number(index), Number(size));
    }
  }
  return paths.map((_path, index) => sizes.get(index));
}
