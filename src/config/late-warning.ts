import type { Problem } from './problem.ts';

interface DiskLimits {
  readonly disk_warning?: number | undefined;
  readonly disk_critical?: number | undefined;
}

/** A file system would be critical before anybody is warned. If both are the same, the writer wants no warning. */
export function findLateWarning(
  { disk_warning: warning, disk_critical: critical }: DiskLimits,
  lines: ReadonlyMap<string, number>,
): Problem[] {
  if (warning === undefined || critical === undefined || warning <= critical) return [];
  const [line, otherLine] = [lines.get('disk_warning'), lines.get('disk_critical')];
  const whose = otherLine === undefined ? ', its default' : '';
  const message =
    line === undefined
      ? `disk_critical: ${critical} is below disk_warning (${warning}, its default)`
      : `disk_warning: ${warning} is above disk_critical (${critical}${whose})`;
  return [{ line: line ?? otherLine ?? 1, message: `${message}: the limit of the warning has no effect` }];
}
