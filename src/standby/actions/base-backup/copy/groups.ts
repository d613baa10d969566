import { type CopyRoot, type PlannedFile, printablePath } from './planned-files.ts';

/** Files that one rsync copies. */
export interface FileGroup {
  readonly root: CopyRoot;
  readonly files: readonly PlannedFile[];
  readonly bytes: number;
}

/** The cost of a file in addition to its bytes, expressed in bytes that could be copied in the same time. */
const fileWeight = 128 * 1024;
/** The cost of starting an rsync: smaller groups would balance the load better, but cost more than they save. */
const leastWeight = 96 * 1024 * 1024;
/**
 * rsync keeps the list of its files in memory, at both ends, and here in two processes. From 3.2.5 on it compares each name
 * that arrives with the names of the list: twice the files cost four times that.
 */
const mostFiles = 5_000;

function weightOf({ size }: PlannedFile): number {
  return size + fileWeight;
}

function groupOf(root: CopyRoot, files: readonly PlannedFile[]): FileGroup {
  return { root, files, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * rsync 3.5 does not follow a symbolic link of another owner. The files behind a linked directory are therefore copied
 * from the real path. On this host the directory is an ordinary one.
 */
export function splitAtLinks({ root, files }: FileGroup): readonly FileGroup[] {
  const groups: FileGroup[] = [];
  let rest = files;
  // A link that is behind another link must come before that one.
  for (const { path, directory } of [...root.links].sort((a, b) => b.path.length - a.path.length)) {
    const isBehind = (file: PlannedFile) => file.path.startsWith(`${path}/`);
    const below = rest.filter(isBehind).map((file) => ({ ...file, path: file.path.slice(path.length + 1) }));
    const target = `${root.target}/${printablePath(path)}`;
    groups.push(groupOf({ ...root, source: directory, target, links: [] }, below));
    rest = rest.filter((file) => !isBehind(file));
  }
  return [groupOf(root, rest), ...groups].filter((group) => group.files.length > 0);
}

/** With one worker, large groups are the fastest, because rsync starts less often. */
function inPortions({ root, files }: FileGroup): readonly FileGroup[] {
  const portions = Math.ceil(files.length / mostFiles);
  return Array.from({ length: portions }, (_none, index) =>
    groupOf(root, files.slice(index * mostFiles, (index + 1) * mostFiles)),
  );
}

/** A copy that is smaller than this ends before a trial of two compressions is worth anything. */
const leastForTrials = 1024 * 1024 * 1024;

/**
 * Distributes the files so that all workers finish at about the same time: the largest files first, in groups that
 * become smaller towards the end. Each worker takes the next group as soon as it is free. Of a large copy the first two groups
 * are small: they show how to compress the others.
 */
export function shareOut(
  { roots }: { readonly roots: readonly CopyRoot[] },
  workers: number,
): readonly FileGroup[] {
  // The files are split at the links first: otherwise every group would be split into as many groups as there are links.
  const parts = roots.flatMap((root) => splitAtLinks(groupOf(root, root.files)));
  if (workers === 1) return parts.flatMap(inPortions);
  const trials = parts.reduce((sum, { bytes }) => sum + bytes, 0) < leastForTrials ? 0 : 2;
  let remaining = parts.reduce((sum, { bytes, files }) => sum + bytes + files.length * fileWeight, 0);
  const groups: FileGroup[] = [];
  for (const { root, files } of parts) {
    const bySize = [...files].sort((a, b) => b.size - a.size);
    for (let start = 0; start < bySize.length;) {
      const enough = groups.length < trials ? leastWeight : Math.max(leastWeight, remaining / (2 * workers));
      let end = start;
      for (let weight = 0; end < bySize.length && end - start < mostFiles && weight < enough; end++) {
        const file = bySize[end];
        if (file === undefined) break;
        weight += weightOf(file);
        remaining -= weightOf(file);
      }
      groups.push(groupOf(root, bySize.slice(start, end)));
      start = end;
    }
  }
  return groups;
}
