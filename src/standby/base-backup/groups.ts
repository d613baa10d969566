import type { CopyPlan, CopyRoot, PlannedFile } from './copy-plan.ts';

/** Files that one rsync copies. */
export interface FileGroup {
  readonly root: CopyRoot;
  readonly files: readonly PlannedFile[];
  readonly bytes: number;
}

/** What a file costs beside its bytes, in bytes that could be moved instead. */
const fileWeight = 32 * 1024;
/** Below this the start of an rsync costs more than a better balance brings. */
const leastWeight = 32 * 1024 * 1024;

function weightOf({ size }: PlannedFile): number {
  return size + fileWeight;
}

function groupOf(root: CopyRoot, files: readonly PlannedFile[]): FileGroup {
  return { root, files, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * Shares the files out so that workers who each take the next group when they have done one end at about the same time:
 * the largest files first, in groups that become smaller as less remains. One worker gets one group for each root, since
 * nothing is faster than an rsync that need not start again.
 */
export function shareOut({ roots }: CopyPlan, workers: number): readonly FileGroup[] {
  const filled = roots.filter(({ files }) => files.length > 0);
  if (workers === 1) return filled.map((root) => groupOf(root, root.files));
  let remaining = filled.reduce((sum, { bytes, files }) => sum + bytes + files.length * fileWeight, 0);
  const groups: FileGroup[] = [];
  for (const root of filled) {
    const bySize = [...root.files].sort((a, b) => b.size - a.size);
    for (let start = 0; start < bySize.length;) {
      const enough = Math.max(leastWeight, remaining / (2 * workers));
      let end = start;
      for (let weight = 0; end < bySize.length && weight < enough; end++) {
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
