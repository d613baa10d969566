import { shellQuote } from '../../../../system/shell-quote.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { runRemotely } from '../../../primary/remote-files.ts';

const pathsAtOnce = 500;

/** A path of the plan as a word of the shell, whatever its bytes are, with a dot behind it: the shell takes line feeds away there. */
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

/** The sizes that the primary's files of these paths have now; undefined for those that have gone. */
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
