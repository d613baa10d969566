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

/** A file that was written at the time of the last backup may have changed again without getting a newer time. */
const clockTickMs = 2_000;

/**
 * Files that are newer than this may still have been written while the last backup copied them. Such a file could have the
 * same time before and after a change, and a comparison by time would miss the change.
 */
export function trustedUntilMs(facts: BackupFacts): number {
  const startTime = Date.parse(facts.record.backup?.startTime ?? '');
  return comparisonFor(facts) === 'contents' || Number.isNaN(startTime) ? Infinity : startTime - clockTickMs;
}
