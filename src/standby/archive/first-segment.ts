import { segmentContaining } from '../../postgres/lsn.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { ArchiveContents } from './contents.ts';

/** The segment that a start of the server here would replay first. */
export function firstSegment(
  { backupLabel, control }: Pick<DataDirectory, 'backupLabel' | 'control'>,
  contents: Pick<ArchiveContents, 'layout'>,
): SegmentName {
  if (backupLabel !== undefined) return backupLabel.startSegment;
  return segmentContaining(control?.timeline ?? 1, control?.redoLsn ?? 0n, contents.layout);
}
