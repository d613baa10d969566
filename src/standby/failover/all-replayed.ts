import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { firstUntouched, parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { formatLsn, nameOf, segmentNumber } from '../../postgres/lsn.ts';
import { historyName } from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import type { ArchivedEnd } from '../archive/replay-check.ts';
import type { DataDirectory } from '../server/data-directory.ts';

export interface NotReplayed {
  readonly first: string;
  readonly last: string;
  readonly count: number;
  /** Where the new timeline begins, as its history says it. */
  readonly openedAt: string;
}

/**
 * Archived segments of which an opened server has replayed nothing. One of which it has replayed a part is its last: a record that
 * goes on into the next one, which was never archived, is no record. An archived segment was written to its end, and so it
 * has more than the end of the record before.
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
  // It followed a timeline whose history has come since: that may well have left the other one before.
  if (branch === undefined || branch.timeline > last.timeline) return undefined;
  const first = firstUntouched(branch, layout);
  const count = segmentNumber(last, layout) - first + 1;
  if (count <= 0) return undefined;
  const openedAt = branch.end.kind === 'lsn' ? `LSN ${formatLsn(branch.end.lsn)}` : branch.end.segment.name;
  return { first: nameOf(branch.timeline, first, layout).name, last: last.name, count, openedAt };
}

/** Undefined where the server goes on with the timeline that it had: no branch, no place of it. */
async function historyOf(
  { pgdata, capabilities }: DataDirectory,
  timeline: number,
  before: number,
): Promise<readonly TimelineEntry[]> {
  const { name } = historyName(timeline);
  const text = timeline > before && (await readIfExists(join(pgdata, capabilities.walDirName, name)));
  return text instanceof Buffer ? parseHistory(text.toString('utf8'), name) : [];
}

function describe({ first, last, count }: NotReplayed): string {
  return count === 1
    ? `segment ${last} was not replayed`
    : `segments ${first} to ${last} (${count}) were not replayed`;
}

/**
 * The server opens where it gets no more WAL, for whatever reason: this proves that it was at the archive's end.
 *
 * @param timeline that it opened on
 * @param isAccepted the operator was told already, and goes on
 */
export async function seeAllReplayed(
  deps: StandbyDeps,
  directory: DataDirectory,
  end: ArchivedEnd,
  timeline: number,
  isAccepted: boolean,
): Promise<void> {
  const { walSegmentSkipsFF } = directory.capabilities;
  const entries = await historyOf(directory, timeline, end.last.timeline).catch((error: unknown) => {
    deps.log.warning(`cannot tell whether all archived WAL was replayed: ${messageOf(error)}`);
    return [];
  });
  const missing = findNotReplayed(end, entries, walSegmentSkipsFF);
  if (missing === undefined) return;
  const said = `the server opened short of the archive's end: ${describe(missing)}`;
  if (isAccepted) {
    deps.log.warning(`${said}; going on all the same (--force=replay)`);
    return;
  }
  throw new PitrError(said, {
    detail: `It is open on timeline ${timeline}, which begins at ${missing.openedAt}; what was committed in the WAL behind that is not in it. action_failover has not been run.`,
    hint: `Keep clients away, and keep "${deps.settings.archivedir}": -F999 on the base backup or on another standby, with a copy of that directory, replays all of it. To go on with the server as it is: -F999 --force=replay.`,
  });
}
