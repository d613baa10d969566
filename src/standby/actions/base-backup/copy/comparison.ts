import type { BackupFacts } from '../facts.ts';

/** How rsync determines what to transfer: by size and time, or by reading every byte on both sides. */
export type Comparison = 'times' | 'contents';

/**
 * Size and time prove something only for files that an earlier backup of ours completed and flushed, and only if the
 * times are equal to the nanosecond: a file may change without changing its size within the second in which it was
 * copied.
 */
export function comparisonFor({ primary, place, record, rsync, source }: BackupFacts): Comparison {
  // Each host has times of its own: equal ones prove nothing about another host's file.
  if (source !== undefined || record.backup?.source !== undefined) return 'contents';
  const isOurs =
    place.content.kind === 'cluster' && place.content.systemIdentifier === primary.systemIdentifier;
  const isWhole =
    record.backup?.status === 'complete' && record.backup.systemIdentifier === primary.systemIdentifier;
  return isOurs && isWhole && rsync?.comparesNanoseconds === true ? 'times' : 'contents';
}
