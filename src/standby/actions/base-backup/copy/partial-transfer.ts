import type { CommandResult } from '../../../../system/command.ts';
import { originOf } from '../../../primary/origin.ts';
import type { BackupContext } from '../context.ts';
import type { FileGroup } from './groups.ts';
import { plannedPath } from './planned-files.ts';
import { sizesOnPrimary } from './remote-sizes.ts';
import { parsePartialTransfer } from './rsync-output.ts';

/**
 * A path that rsync printed, relative to the source; undefined if it is not below the source.
 *
 * @param isModule the source is a module of rsync's daemon, which is the root of the paths that it prints
 */
function pathBelow({ root }: FileGroup, path: string, isModule: boolean): string | undefined {
  if (isModule) return path.replace(/^\.?\/+/, '');
  if (path.startsWith(`${root.source}/`)) return path.slice(root.source.length + 1);
  return path.startsWith('/') ? undefined : path.replace(/^\.\//, '');
}

/**
 * rsync exits with 23 if it did not transfer some files, for whatever reason. Returns the failures that matter: all
 * except files that were removed on the primary since they were listed, because WAL replay removes those here as well.
 */
export async function findLost(
  { primary }: BackupContext,
  group: FileGroup,
  result: CommandResult,
): Promise<readonly string[]> {
  const { paths, others } = parsePartialTransfer(result.stderr);
  if (paths.length === 0 && others.length === 0) return ['rsync does not say which'];
  const { shell } = originOf(primary);
  const isModule = shell.served !== undefined;
  const below = paths.flatMap((path) => pathBelow(group, path, isModule) ?? []);
  const elsewhere = paths.filter((path) => pathBelow(group, path, isModule) === undefined);
  const { source } = group.root;
  const sizes = await sizesOnPrimary(shell, source, below.map(plannedPath));
  const there = below.filter((_path, index) => sizes[index] !== undefined);
  return [...there.map((path) => `${source}/${path}`), ...elsewhere, ...others];
}
