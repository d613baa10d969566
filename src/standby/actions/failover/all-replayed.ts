import { join } from 'node:path';
import { messageOf, PitrError } from '../../../errors.ts';
import { firstUntouched, type TimelineEntry } from '../../../postgres/history.ts';
import { formatLsn, nameOf, segmentNumber } from '../../../postgres/lsn.ts';
import { historyName } from '../../../postgres/wal-name.ts';
import { readHistory } from '../../archive/contents.ts';
import type { ArchivedEnd } from '../../archive/replay-check.ts';
import { promotingAction, takesForce } from '../../deps.ts';
import type { Server } from '../../server/server.ts';
import type { ArchiveEnd } from './report.ts';

export interface NotReplayed {
  readonly first: string;
  readonly last: string;
  readonly count: number;
  /** The start of the new timeline, according to its history file. */
  readonly openedAt: string;
}

/**
 * The archived segments of which an opened server has replayed nothing. If it has replayed a part of a segment, that is
 * its last one: a record that continues in a segment which was never archived is incomplete. Every archived segment was
 * filled, so it contains more than the end of a record.
 *
 * @param entries the history of the timeline that the server opened on
 */
export function findNotReplayed(
  { last, segmentSize }: ArchivedEnd,
  entries: readonly TimelineEntry[],
  walSegmentSkipsFF: boolean,
): NotReplayed | undefined {
  const layout = { segmentSize, walSegmentSkipsFF };
  const branch = entries.at(-1);
  // The server followed a later timeline whose history file has arrived since. That timeline may have left the other
  // one earlier.
  if (branch === undefined || branch.timeline > last.timeline) return undefined;
  const first = firstUntouched(branch, layout);
  const count = segmentNumber(last, layout) - first + 1;
  if (count <= 0) return undefined;
  return {
    first: nameOf(branch.timeline, first, layout).text,
    last: last.text,
    count,
    openedAt: placeOf(branch),
  };
}

/** Whether a server on a timeline of this history has replayed the last archived segment. */
function leadsThrough(
  { last, segmentSize }: ArchivedEnd,
  entries: readonly TimelineEntry[],
  walSegmentSkipsFF: boolean,
): boolean {
  const layout = { segmentSize, walSegmentSkipsFF };
  const left = entries.find((entry) => entry.timeline === last.timeline);
  return left !== undefined && firstUntouched(left, layout) > segmentNumber(last, layout);
}

/** The history of a timeline in the server's own pg_wal; undefined where there is none. */
async function ownHistory({ pgdata, capabilities }: Server, timeline: number) {
  return readHistory(join(pgdata, capabilities.walDirName), timeline);
}

function placeOf({ end }: TimelineEntry): string {
  return end.kind === 'lsn' ? `LSN ${formatLsn(end.lsn)}` : `segment ${end.segment.text}`;
}

/** The start of a timeline; undefined for the first one, or if its history cannot be read. */
export async function beginningOf(server: Server, timeline: number): Promise<string | undefined> {
  const entries = await ownHistory(server, timeline).catch(() => undefined);
  const branch = entries?.at(-1);
  return branch === undefined ? undefined : placeOf(branch);
}

function describe({ first, last, count }: NotReplayed): string {
  return count === 1
    ? `segment ${last} was not replayed`
    : `segments ${first} to ${last} (${count}) were not replayed`;
}

/**
 * A server opens where it gets no more WAL, whatever the reason. This check proves that it was at the end of the
 * archive.
 *
 * @param timeline the timeline that the server opened on
 * @param isAccepted an earlier run reported the loss, and the operator accepts it
 */
export async function seeAllReplayed(
  server: Server,
  end: ArchivedEnd,
  timeline: number,
  isAccepted: boolean,
): Promise<ArchiveEnd | undefined> {
  const { deps } = server;
  const { walSegmentSkipsFF } = server.capabilities;
  const unknown = (reason: string): ArchiveEnd | undefined => {
    deps.log.warning(`cannot determine whether all archived WAL was replayed: ${reason}`);
    return undefined;
  };
  if (timeline <= end.last.timeline)
    return unknown(`the server continues on timeline ${timeline}, so no history says where it opened`);
  const entries = await ownHistory(server, timeline).catch((error: unknown) => messageOf(error));
  if (entries === undefined || typeof entries === 'string')
    return unknown(
      entries ?? `there is no ${historyName(timeline).text} in ${server.capabilities.walDirName}`,
    );
  const missing = findNotReplayed(end, entries, walSegmentSkipsFF);
  if (missing === undefined)
    return leadsThrough(end, entries, walSegmentSkipsFF)
      ? { kind: 'reached', last: end.last.text }
      : unknown(`the history of timeline ${timeline} does not lead through ${end.last.text}`);
  const said = `the server opened before the end of the archive: ${describe(missing)}`;
  if (isAccepted) {
    deps.log.warning(`${said}; continuing anyway (--force=replay)`);
    return { kind: 'missed', reason: describe(missing) };
  }
  throw new PitrError(said, {
    detail: `It is open on timeline ${timeline}, which begins at ${missing.openedAt}; transactions in the WAL after that are missing. action_failover has not been run.`,
    hint: takesForce(deps)
      ? `Keep clients away, and keep "${deps.settings.archivedir}": -F999 on the base backup or on another standby, with a copy of that directory, replays all of it. To continue with the server as it is: ${promotingAction(deps)} --force=replay.`
      : 'A failover of this standby would lose the same WAL. The server log shows why it was not replayed: get that WAL, or make a new base backup (-B).',
  });
}
