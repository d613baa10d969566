import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { isPossibleSegment, segmentNumber } from '../../postgres/lsn.ts';
import { isOnPath, latestTimeline, pathTo } from '../../postgres/timelines.ts';
import { parseVersion } from '../../postgres/version.ts';
import { type SegmentName, walNamesAmong } from '../../postgres/wal-name.ts';
import type { Cluster } from './cluster.ts';
import { type OwnWal, readHistoriesOf, readRun } from './own-wal.ts';

/**
 * The WAL that a standby can pass on: its archive holds each file whole under its final name, and its server replays the
 * newest timeline that this archive knows. Undefined as long as that cannot be determined.
 */
export async function readArchiveWal(
  pgdata: string,
  archivedir: string,
  { timeline: own, segmentSize }: Cluster,
): Promise<OwnWal | undefined> {
  if (own === undefined || segmentSize === undefined) return undefined;
  const run = await readRun(pgdata);
  const version = parseVersion(await readFile(join(pgdata, 'PG_VERSION'), 'utf8'));
  const layout = { segmentSize, walSegmentSkipsFF: capabilitiesOf(version).walSegmentSkipsFF };
  const names = walNamesAmong((await readdir(archivedir)).sort());
  const histories = await readHistoriesOf(archivedir, names);
  const timeline = latestTimeline(own, histories);
  const path = pathTo(timeline, histories, layout);
  const end = names
    .filter((name): name is SegmentName => name.kind === 'segment')
    .filter((name) => isPossibleSegment(name, layout) && isOnPath(path, name, layout))
    .reduce((most, name) => Math.max(most, segmentNumber(name, layout) + 1), 0);
  return { directory: archivedir, layout, timeline, histories, end, run };
}
