import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isPossibleSegment,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../../postgres/lsn.ts';
import { compareWalNames, historyName, parseWalName, type SegmentName } from '../../../postgres/wal-name.ts';
import { exists, fsyncPath, systemErrorCode } from '../../../system/durable.ts';
import { rename } from '../../../system/files.ts';
import { readHistory } from '../../archive/contents.ts';
import type { Server } from '../../server/server.ts';
import { writeForServer } from '../../server/server-modes.ts';

const ready = '.ready';

/** The segments of earlier timelines in pg_wal, beginning with the one in which the last of these timelines ended. */
async function leftBehind(
  directory: string,
  timeline: number,
  layout: WalLayout,
): Promise<readonly SegmentName[]> {
  // If the server kept its timeline, there is no history.
  const fork = (await readHistory(directory, timeline))?.at(-1);
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

/** @returns whether the server would have archived the file */
async function markArchived(pgdata: string, status: string, name: string): Promise<boolean> {
  const mark = (suffix: string) => join(status, `${name}${suffix}`);
  if (await exists(mark(ready))) {
    // The archiver process may have done the same meanwhile.
    await ifThere(rename(mark(ready), mark('.done')));
    await fsyncPath(status);
    return true;
  }
  if (await exists(mark('.done'))) return false;
  await writeForServer(pgdata, mark('.done'), '');
  return true;
}

/**
 * The size of the files themselves, because its offset in pg_control depends on the release. The server may rename or
 * remove any of them at this moment.
 */
async function sizeOfSegments(directory: string): Promise<number | undefined> {
  for (const name of await readdir(directory)) {
    if (parseWalName(name).kind !== 'segment') continue;
    const found = await ifThere(stat(join(directory, name)));
    if (found !== undefined) return found.size;
  }
  return undefined;
}

async function ifThere<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Prevents the unfinished segment in which the old timeline ended from being archived under a complete segment's name.
 * Up to 9.4 a promoted server archives it so at once. A later one does so at the next checkpoint after archiving is
 * turned on, because only a server that archives at its promotion renames the segment to `.partial`. The old primary's
 * complete segment may come to the same archives, and an archive with the unfinished one would refuse it. No server
 * needs the unfinished segment: the new timeline's first segment begins with a copy of it.
 */
export async function setAsideLastSegment(
  { deps, pgdata, capabilities }: Server,
  newTimeline: number,
): Promise<void> {
  const directory = join(pgdata, capabilities.walDirName);
  const segmentSize = await sizeOfSegments(directory);
  if (segmentSize === undefined) return;
  const { walSegmentSkipsFF } = capabilities;
  for (const { text: name } of await leftBehind(directory, newTimeline, { segmentSize, walSegmentSkipsFF }))
    if (await markArchived(pgdata, join(directory, 'archive_status'), name))
      deps.log.notice(`segment ${name}, in which the old timeline ended, is not archived from here`);
}

/**
 * The server marks its history file for archiving only at the moment of its promotion, and only if it archives then. If
 * the failover configuration turns archiving on later, the server's standbys would otherwise wait forever on the old
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
  // The server's archive_command decides whether and when the file is archived. We have seen none of that.
  deps.log.notice(`${history} is marked to be archived: standbys of this server follow it once it has been`);
}
