import { PitrError } from '../../../../errors.ts';
import { quoted } from '../../../../system/printable.ts';
import type { RemoteShell } from '../../../../system/ssh.ts';
import { dataWork } from '../../../../verbs/data-requests.ts';
import { runRemotely } from '../../../primary/remote-files.ts';

const pathsAtOnce = 500;

const sizeLine = /^(\d+) (\d+)$/;

/** Files that only seem to be gone would be missing in the copy. */
function requireAnswer(
  { target }: RemoteShell,
  source: string,
  { status, lines }: { readonly status: number; readonly lines: readonly string[] },
): void {
  const isUnknown = lines.some((line) => /^\d+ \? /.test(line));
  if (status === 0 && !isUnknown) return;
  const [said = `the shell there ended with status ${status}`] = lines.filter(
    (line) => line !== '' && !sizeLine.test(line),
  );
  throw new PitrError(`cannot determine which files are left in "${source}" on ${target.host}`, {
    detail: quoted(said.replace(/^\d+ \? /, '')),
    hint: 'Find out why that directory cannot be read there (its disk, its mount), then run -B again.',
  });
}

/** The present sizes of these files on the primary; undefined for a file that was removed. */
export async function sizesOnPrimary(
  shell: RemoteShell,
  source: string,
  paths: readonly string[],
): Promise<readonly (number | undefined)[]> {
  const sizes = new Map<number, number>();
  for (let start = 0; start < paths.length; start += pathsAtOnce) {
    const work = dataWork('sizes', { root: source, paths: paths.slice(start, start + pathsAtOnce) });
    const answer = await runRemotely(shell, work);
    requireAnswer(shell, source, answer);
    for (const line of answer.lines) {
      const [, index, size] = sizeLine.exec(line) ?? [];
      if (index !== undefined) sizes.set(start + Number(index), Number(size));
    }
  }
  return paths.map((_path, index) => sizes.get(index));
}
