import type { RemoteShell } from '../../../../system/ssh.ts';
import { dataWork } from '../../../../verbs/data-requests.ts';
import { runRemotely } from '../../../primary/remote-files.ts';

const pathsAtOnce = 500;

/** The present sizes of these files on the primary; undefined for a file that was removed. */
export async function sizesOnPrimary(
  shell: RemoteShell,
  source: string,
  paths: readonly string[],
): Promise<readonly (number | undefined)[]> {
  const sizes = new Map<number, number>();
  for (let start = 0; start < paths.length; start += pathsAtOnce) {
    const work = dataWork('sizes', { root: source, paths: paths.slice(start, start + pathsAtOnce) });
    for (const line of (await runRemotely(shell, work)).lines) {
      const [, index, size] = /^(\d+) (\d+)$/.exec(line) ?? [];
      if (index !== undefined) sizes.set(start + Number(index), Number(size));
    }
  }
  return paths.map((_path, index) => sizes.get(index));
}
