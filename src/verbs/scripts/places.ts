/** Scripts that show which directories of two hosts are the same. */
import { join } from 'node:path';
import { shellQuote } from '../../system/shell-quote.ts';

/**
 * Prints the kernel's boot id, then for each path a line of its own device and inode and one for each directory above
 * it; `self` precedes those of a path that exists. Links are resolved by walking up physically, and one program is
 * started for each path, however deep it is. The same script runs on both hosts.
 */
export function placesScript(paths: readonly string[]): string {
  const look = (path: string, index: number) =>
    `p=${shellQuote(path)}; w=self; while [ ! -d "$p" ]; do w=above; p=\${p%/*}; [ -n "$p" ] || p=/; done; ` +
    `(cd -P -- "$p" && q=$PWD && d=. && set -- . && while [ -n "\${q%/}" ]; do d=$d/..; set -- "$@" "$d"; q=\${q%/*}; done; ` +
    `stat -c "${index} $w %d:%i" "$@")`;
  return ['cat /proc/sys/kernel/random/boot_id || echo', ...paths.map(look)].join('\n');
}

/** Prints the number of each path that contains the probe, and the probe's text. */
export function probesScript(paths: readonly string[], name: string): string {
  const look = (path: string, index: number) =>
    `f=${shellQuote(join(path, name))}; if [ -f "$f" ]; then i='?'; IFS= read -r i <"$f"; echo "${index} \${i:-?}"; fi`;
  return paths.map(look).join('\n');
}

/** Equal only for the same directory of the same running system. */
export function identityScript(directory: string): string {
  return `printf 'this: '; tr -d '\\n' </proc/sys/kernel/random/boot_id && stat -L -c ' %d:%i' ${shellQuote(directory)}`;
}
