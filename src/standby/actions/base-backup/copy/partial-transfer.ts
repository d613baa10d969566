import type { CommandResult } from '../../../../system/command.ts';
import { originOf } from '../../../primary/origin.ts';
import type { BackupContext } from '../context.ts';
import type { FileGroup } from './groups.ts';
import { plannedPath } from './planned-files.ts';
import { sizesOnPrimary } from './remote-sizes.ts';
import { parsePartialTransfer } from './rsync-output.ts';

/** A name that rsync gave, as a path below the source; undefined for one that is not below it. */
function pathBelow({ root }: FileGroup, path: string): string | undefined {
  if (path.startsWith(`${root.source}/`)) return path.slice(root.source.length + 1);
  return path.startsWith('/') ? undefined : path.replace(/^\.\//, '');
}

/**
 * rsync ends with 23 when files were not transferred, for whatever reason. Returns what must not be passed over: all but
 * files that have gone from the primary since they were listed, whose removal the WAL replays.
 */
export async function findLost(
  { primary }: BackupContext,
  group: FileGroup,
  result: CommandResult,
): Promise<readonly string[]> {
  const { paths, others } = parsePartialTransfer(result.stderr);
  if (paths.length === 0 && others.length === 0) return ['rsync does not say which'];
  const below = paths.flatMap((path) => pathBelow(group, path) ?? []);
  const elsewhere = paths.filter((path) => pathBelow(group, path) === undefined);
  const { source } = group.root;
  const sizes = await sizesOnPrimary(originOf(primary).shell, source, below.map(plannedPath));
  const there = below.filter((_path, index) => sizes[index] !== undefined);
  return [...there.map((path) => `${source}/${path}`), ...elsewhere, ...others];
}
