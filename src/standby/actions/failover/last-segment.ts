import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHistory, type TimelineEntry } from '../../../postgres/history.ts';
import {
  isPossibleSegment,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../../postgres/lsn.ts';
import { compareWalNames, historyName, parseWalName, type SegmentName } from '../../../postgres/wal-name.ts';
import { exists, fsyncPath, readIfExists } from '../../../system/durable.ts';
import { rename } from '../../../system/files.ts';
import type { Server } from '../../server/server.ts';
import { writeForServer } from '../../server/server-modes.ts';

const ready = '.ready';

/** The end of the timeline before this one; undefined where the server kept its timeline. */
async function forkOf(directory: string, timeline: number): Promise<TimelineEntry | undefined> {
  const { text: name } = historyName(timeline);
  const text = await readIfExists(join(directory, name));
  return text === undefined ? undefined : parseHistory(text.toString('utf8'), name).at(-1);
}

/** Segments of earlier timelines in pg_wal, from the one in which the last of these timelines ended. */
async function leftBehind(
  directory: string,
  timeline: number,
  layout: WalLayout,
): Promise<readonly SegmentName[]> {
  const fork = await forkOf(directory, timeline);
  if (fork === undefined) return [];
  const { end } = fork;
  const last = end.kind === 'lsn' ? segmentContaining(fork.timeline, end.lsn, layout) : end.segment;
  const first = segmentNumber(last, layout);
  return (await readdir(directory))
    .map(parseWalName)
    .filter((name): name is SegmentName => name.kind === 'segment' && name.timeline < timeline)
    .filter((name) => isPossibleSegment(name, layout) && segmentNumber(name, layout) >= first)
    .sort(compareWalNames);
}

/** @returns whether the server would have archived it */
async function markArchived(pgdata: string, status: string, name: string): Promise<boolean> {
  const mark = (suffix: string) => join(status, `${name}${suffix}`);
  if (await exists(mark(ready))) {
    await rename(mark(ready), mark('.done'));
    await fsyncPath(status);
    return true;
  }
  if (await exists(mark('.done'))) return false;
  await writeForServer(pgdata, mark('.done'), '');
  return true;
}

/** The file's own size: in pg_control it stands at a place that depends on the release. */
async function segmentSizeIn(directory: string, name: string): Promise<number> {
  return (await stat(join(directory, name))).size;
}

/**
 * Keeps the segment in which the old timeline ended, unfinished, from being archived under a whole segment's name. Up to 9.4 a
 * promoted server archives it so at once; every later one, too, at the next checkpoint after archiving was turned on: only a
 * server that archives when it is promoted renames it to `.partial`. The old primary's whole segment of that name may come to the
 * same archives: an archive that took the unfinished one would refuse it. The new timeline's first segment begins with a copy of
 * what is in it, so nobody needs it.
 */
export async function setAsideLastSegment(
  { deps, pgdata, capabilities }: Server,
  newTimeline: number,
): Promise<void> {
  const directory = join(pgdata, capabilities.walDirName);
  const own = (await readdir(directory)).find((name) => parseWalName(name).kind === 'segment');
  if (own === undefined) return;
  const segmentSize = await segmentSizeIn(directory, own);
  const { walSegmentSkipsFF } = capabilities;
  for (const { text: name } of await leftBehind(directory, newTimeline, { segmentSize, walSegmentSkipsFF }))
    if (await markArchived(pgdata, join(directory, 'archive_status'), name))
      deps.log.notice(`segment ${name}, in which the old timeline ended, is not archived from here`);
}

/**
 * The server marks its history file for archiving at the moment of the promotion only, and only if it archives then:
 * one that starts to archive by the failover configuration would leave its standbys waiting forever on the old
 * timeline.
 */
export async function archiveHistory(server: Server, timeline: number): Promise<void> {
  const { deps, pgdata, capabilities } = server;
  const directory = join(pgdata, capabilities.walDirName);
  const history = historyName(timeline).text;
  const mark = (suffix: string) => join(directory, 'archive_status', `${history}${suffix}`);
  const isKnown = (await exists(mark(ready))) || (await exists(mark('.done')));
  if (isKnown || !(await exists(join(directory, history)))) return;
  await writeForServer(pgdata, mark(ready), '');
  // Whether and when is up to the server's archive_command: none of it was seen.
  deps.log.notice(`${history} is marked to be archived: standbys of this server follow it once it has been`);
}
