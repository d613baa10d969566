import { shellQuote } from '../../../../system/shell-quote.ts';
import type { CommandResult } from '../../../../system/command.ts';
import { runRemotely } from '../../../primary/remote-files.ts';
import type { BackupContext } from '../context.ts';
import type { FileGroup } from './groups.ts';
import { originOf } from '../../../primary/origin.ts';
import { parsePartialTransfer } from './rsync-output.ts';

const pathsAtOnce = 200;

async function stillThere({ primary }: BackupContext, paths: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (let start = 0; start < paths.length; start += pathsAtOnce) {
    const some = paths.slice(start, start + pathsAtOnce);
    const script = some
      .map((path, index) => `[ ! -e ${shellQuote(path)} ] || echo ${start + index}`)
      .join('\n');
    const { lines } = await runRemotely(originOf(primary).shell, script);
    found.push(...lines.flatMap((line) => paths[Number(line)] ?? []));
  }
  return found;
}

/** A name that rsync gave, as a path on the primary; undefined for one that is not below the source. */
function remotePathOf({ root }: FileGroup, path: string): string | undefined {
  if (path.startsWith(`${root.source}/`)) return path;
  return path.startsWith('/') ? undefined : `${root.source}/${path.replace(/^\.\//, '')}`;
}

/**
 * rsync ends with 23 when files were not transferred, for whatever reason. Returns what must not be passed over: all but
 * files that have gone from the primary since they were listed, whose removal the WAL tells.
 */
export async function findLost(
  context: BackupContext,
  group: FileGroup,
  result: CommandResult,
): Promise<readonly string[]> {
  const { paths, others } = parsePartialTransfer(result.stderr);
  if (paths.length === 0 && others.length === 0) return ['rsync does not say which'];
  const remote = paths.map((path) => remotePathOf(group, path));
  const elsewhere = paths.filter((_path, index) => remote[index] === undefined);
  const there = await stillThere(
    context,
    remote.filter((path) => path !== undefined),
  );
  return [...there, ...elsewhere, ...others];
}
