import { segmentNumber } from '../../postgres/lsn.ts';
import { latestTimeline, pathTo } from '../../postgres/timelines.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { readContents } from './contents.ts';
import { firstSegment } from './first-segment.ts';
import { describeMissing } from './missing.ts';
import { readArchive } from './own-archive.ts';

/** What the standby here lacks from its restartpoint on, although later WAL is here; undefined if nothing is known. */
export async function findMissing(archivedir: string, directory: DataDirectory): Promise<string | undefined> {
  const read = await readArchive(archivedir);
  if (read.kind === 'unusable') return undefined;
  const contents = await readContents(archivedir, directory, read.archive.sentinel.systemIdentifier);
  const { histories, layout } = contents;
  const first = firstSegment(directory, contents);
  const path = pathTo(latestTimeline(first.timeline, histories), histories, layout);
  return describeMissing(contents, path, segmentNumber(first, layout));
}
