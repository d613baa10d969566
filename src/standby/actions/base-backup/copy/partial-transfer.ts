import type { CommandResult } from '../../../../system/command.ts';
import { originOf } from '../../../primary/origin.ts';
import type { BackupContext } from '../context.ts';
import type { FileGroup } from './groups.ts';
import { plannedPath } from './planned-files.ts';
import { sizesOnPrimary } from './remote-sizes.ts';
import { parsePartialTransfer } from './rsync-output.ts';

/** A path that rsync printed, relative to the source; undefined if it is not below the source. */
function pathBelow({ root }: FileGroup, path: string): string | undefined {
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
  const { paths, modulePaths, others } = parsePartialTransfer(result.stderr);
  if (paths.length + modulePaths.length + others.length === 0) return ['rsync does not say which'];
  const { shell } = originOf(primary);
  const inModule = modulePaths.map((path) => path.replace(/^\.?\/+/, ''));
  const below = [...inModule, ...paths.flatMap((path) => pathBelow(group, path) ?? [])];
  // A file that this host could not write says nothing about the primary's.
  const elsewhere = paths.filter((path) => pathBelow(group, path) === undefined);
  const { source } = group.root;
  const sizes = await sizesOnPrimary(shell, source, below.map(plannedPath));
  const there = below.filter((_path, index) => sizes[index] !== undefined);
  return [...there.map((path) => `${source}/${path}`), ...elsewhere, ...others];
}
