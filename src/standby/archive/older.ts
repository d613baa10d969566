import { firstUntouched, type TimelineEntry } from '../../postgres/history.ts';
import { segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import type { BackupName, PartialName, SegmentName, WalName } from '../../postgres/wal-name.ts';

type Placed = SegmentName | PartialName | BackupName;

function segmentOf(name: Placed): SegmentName {
  return name.kind === 'segment' ? name : name.segment;
}

/** History files are small, and any later standby may need them; everything else has a place in the WAL. */
function isPlaced(name: WalName): name is Placed {
  return name.kind !== 'history';
}

/** The standby may still follow a timeline that it has not reached yet: we cannot know that. */
function isBefore(name: Placed, needed: SegmentName, layout: WalLayout): boolean {
  const segment = segmentOf(name);
  if (segment.timeline > needed.timeline) return false;
  return segmentNumber(segment, layout) < segmentNumber(needed, layout);
}

/** The files that a recovery which begins in `needed` never reads. */
export function olderThan(
  files: readonly WalName[],
  needed: SegmentName,
  layout: WalLayout,
): readonly Placed[] {
  return files.filter(isPlaced).filter((name) => isBefore(name, needed, layout));
}

/**
 * The subset that belongs to the history of `needed`. WAL that was written on a timeline after the cluster had left it
 * may exist nowhere else.
 *
 * @param ancestors of the timeline of `needed`
 */
export function olderInHistory(
  files: readonly WalName[],
  needed: SegmentName,
  ancestors: readonly TimelineEntry[],
  layout: WalLayout,
): readonly WalName[] {
  return olderThan(files, needed, layout).filter((name) => {
    const segment = segmentOf(name);
    if (segment.timeline === needed.timeline) return true;
    const ancestor = ancestors.find(({ timeline }) => timeline === segment.timeline);
    return ancestor !== undefined && segmentNumber(segment, layout) < firstUntouched(ancestor, layout);
  });
}

export const supersededPrefix = '.superseded-';

/**
 * Whether a name in archivedir is a directory of WAL that -B moved aside because a newer base backup made it
 * unneeded.
 */
export function isSuperseded(name: string): boolean {
  return name.startsWith(supersededPrefix);
}
