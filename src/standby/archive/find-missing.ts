import { segmentNumber } from '../../postgres/lsn.ts';
import { latestTimeline, pathTo } from '../../postgres/timelines.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { firstSegment, readContents } from './contents.ts';
import { describeMissing } from './missing.ts';
import { observeArchive } from './own-archive.ts';

/** Finds what the standby here lacks from its restartpoint on, although later WAL is here; undefined if nothing is known. */
export async function findMissing(archivedir: string, directory: DataDirectory): Promise<string | undefined> {
  const fact = await observeArchive(archivedir, directory);
  if (fact.kind === 'unusable') return undefined;
  const contents = await readContents(archivedir, directory, fact.archive.sentinel.systemIdentifier);
  const { histories, layout } = contents;
  const first = firstSegment(directory, layout);
  const path = pathTo(latestTimeline(first.timeline, histories), histories, layout);
  return describeMissing(contents, path, segmentNumber(first, layout));
}
