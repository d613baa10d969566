import { join } from 'node:path';
import { parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import { firstLsnOf } from '../../postgres/lsn.ts';
import { historyName } from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import { readLeftMarks } from '../../system/left-marks.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import type { OwnPast } from '../delivery/left-guard.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { walDirectory } from '../wal/ready-files.ts';

function forkOf(entry: TimelineEntry, by: string, segmentSize: number): LeftTimeline {
  const { timeline, end } = entry;
  // Up to 9.2 only the segment is known in which the timeline was left.
  return { timeline, by, lsn: end.kind === 'lsn' ? end.lsn : firstLsnOf(end.segment, segmentSize) };
}

/** The timelines that this server has left: by its present history, whether or not it declared them left. */
export async function readHistory({ settings, hostName }: ArchiverDeps): Promise<readonly LeftTimeline[]> {
  const { timeline, segmentSize = 16 * 1024 * 1024 } = await readCluster(settings.pgdata);
  if (timeline === undefined) return [];
  const { text: name } = historyName(timeline);
  const content = await readIfExists(join(await walDirectory(settings.pgdata), name));
  if (content === undefined) return [];
  return parseHistory(content.toString('utf8'), name).map((entry) => forkOf(entry, hostName, segmentSize));
}

/** Undefined if no timeline was left, as far as this server and the standby's sentinel know. */
export async function readOwnPast(
  deps: ArchiverDeps,
  cluster: Cluster,
  sentinel: Sentinel,
): Promise<Pick<OwnPast, 'forks' | 'declared'> | undefined> {
  // A server in recovery declares nothing: what it wrote as a primary may have been overtaken.
  const declared = cluster.isInRecovery ? [] : await readLeftMarks(deps.layout.root);
  if (declared.length === 0 && sentinel.left.length === 0) return undefined;
  return { declared, forks: [...declared, ...(await readHistory(deps))] };
}
