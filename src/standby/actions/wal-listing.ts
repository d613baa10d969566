import { messageOf } from '../../errors.ts';
import { smallestOf } from '../../lists.ts';
import { capabilitiesOf } from '../../postgres/capabilities.ts';
import { describeLeft, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { formatLsn, segmentNumber } from '../../postgres/lsn.ts';
import { latestTimeline, pathTo, placesOn, type TimelinePath } from '../../postgres/timelines.ts';
import { findVersion } from '../../postgres/version.ts';
import { type ArchiveContents, firstSegment, readContents } from '../archive/contents.ts';
import { lastCommit } from '../archive/last-commit.ts';
import { describeOthers, describeTimeline, listTimelines } from '../archive/listing.ts';
import { listAside } from '../archive/mark-left.ts';
import { describeMissing, missingSentence } from '../archive/missing.ts';
import { requireArchive } from '../archive/own-archive.ts';
import { type Walk, walk } from '../archive/walk.ts';
import type { StandbyDeps } from '../deps.ts';
import { backupEnd } from '../recovery/base-backup-end.ts';
import { noStandbyObjections } from '../recovery/no-standby.ts';
import { observeReplayed } from '../recovery/replayed.ts';
import { showMoment } from '../recovery/target.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { type Server, serverOf } from '../server/server.ts';
import { observeServer } from '../server/server-state.ts';

/** The archive is worth reading even if there is nothing to recover. */
async function dataDirectory(deps: StandbyDeps): Promise<DataDirectory | string> {
  try {
    const directory = await readDataDirectory(deps.settings.pgdata);
    return directory.isIncomplete ? 'the base backup there is incomplete' : directory;
  } catch (error) {
    return messageOf(error);
  }
}

/** Replaces the facts of a data directory that cannot be read: reading WAL needs this much knowledge of its cluster. */
function standIn({ settings }: StandbyDeps) {
  const version = findVersion(settings.pgversion ?? '') ?? findVersion('18');
  if (version === undefined) throw new Error('no version');
  return { pgdata: settings.pgdata, capabilities: capabilitiesOf(version), record: {}, control: undefined };
}

async function reportLeft(deps: StandbyDeps, mark: LeftTimeline): Promise<void> {
  const aside = await listAside(deps.settings.archivedir, mark.timeline);
  const [first] = aside;
  const what = first === undefined ? '' : `; ${aside.length} segments lie aside, such as ${first}`;
  deps.report(`Marked: ${describeLeft(mark)}: no WAL of it from behind there is accepted${what}`);
}

async function contentsOf(deps: StandbyDeps, directory: DataDirectory | string): Promise<ArchiveContents> {
  const { archivedir } = deps.settings;
  const place = typeof directory === 'string' ? standIn(deps) : directory;
  // WAL of another cluster is listed as well.
  const { sentinel } = await requireArchive(archivedir, { pgdata: place.pgdata, control: undefined });
  const { systemIdentifier, promotedAtTimeline: promoted } = sentinel;
  deps.report(`WAL of cluster ${systemIdentifier} in ${archivedir}`);
  if (promoted !== undefined) deps.report(`Marked as promoted at timeline ${promoted}`);
  for (const mark of sentinel.left) await reportLeft(deps, mark);
  return readContents(archivedir, place, systemIdentifier);
}

interface Range {
  readonly contents: ArchiveContents;
  readonly directory: DataDirectory;
  readonly server: Server;
  readonly path: TimelinePath;
}

function segmentsOn({ contents, path }: Range, from: number, { lastNumber }: Walk): string[] {
  return [...placesOn(path, contents.segments, contents.layout)]
    .filter(([number]) => number >= from && number <= lastNumber)
    .sort(([one], [other]) => one - other)
    .map(([, { name }]) => name.text);
}

/** The data here may be newer than its base backup. */
async function earliest({ contents, directory, server }: Range) {
  const end = await backupEnd(directory, contents);
  if (directory.backupLabel !== undefined) return end;
  const state = await observeServer(server);
  const { lsn, time } = await observeReplayed(server, directory, state);
  return { lsn: lsn ?? end.lsn, time: time ?? end.time };
}

async function reportRange(range: Range): Promise<void> {
  const { contents, directory, path } = range;
  const { deps } = range.server;
  const from = segmentNumber(firstSegment(directory, contents.layout), contents.layout);
  const found = walk(contents, path, from);
  const missing = describeMissing(contents, path, from);
  if (missing !== undefined) deps.report(`Missing: ${missingSentence(missing)}`);
  const start = await earliest(range);
  if (found.last === undefined || (start.lsn !== undefined && found.endLsn < start.lsn)) {
    deps.report(
      `No recovery is possible here: ${found.obstacle ?? 'the WAL that it needs first is not here'}`,
    );
    return;
  }
  const timeline = path.at(-1)?.timeline ?? 1;
  const first = start.lsn === undefined ? 'where it is consistent' : `LSN ${formatLsn(start.lsn)}`;
  deps.report(
    `Recovery is possible from ${first} to before LSN ${formatLsn(found.endLsn)}, on timeline ${timeline}`,
  );
  if (found.obstacle !== undefined) deps.report(`Not beyond: ${found.obstacle}`);
  deps.report(
    'Only the first page of each segment was read, so it is not known whether the rest can be replayed',
  );
  await reportTimes(range, start.time, segmentsOn(range, from, found));
}

async function reportTimes(
  { contents, directory, server }: Range,
  start: bigint | undefined,
  segments: readonly string[],
): Promise<void> {
  const { deps } = server;
  const zone = directory.record.backup?.timeZone ?? 'UTC';
  if (start !== undefined) deps.report(`In time: from ${showMoment(start, zone)}`);
  const last = await lastCommit(server, contents.directory, segments);
  deps.report(
    last === undefined
      ? 'The time of the last commit cannot be determined: there is no pg_waldump (up to 9.6: pg_xlogdump) of this version here, or no commit in the last segments'
      : `Last commit: ${showMoment(last, zone)}; a time can be reached if it lies before that`,
  );
}

function sayBackup(deps: StandbyDeps, { record, backupLabel, pgdata }: DataDirectory): void {
  const { backup } = record;
  const label = backup?.label ?? backupLabel?.label;
  const at = backup?.startLsn ?? (backupLabel === undefined ? undefined : formatLsn(backupLabel.startLsn));
  if (label === undefined || at === undefined)
    deps.report(`${pgdata}: a cluster without a base backup's record`);
  else
    deps.report(
      `${pgdata}: base backup "${label}", LSN ${at}${backup?.stopLsn === undefined ? '' : ` to ${backup.stopLsn}`}`,
    );
}

/** `--wal`: lists the contents of archivedir and the possible recovery targets. Changes nothing. */
export async function listWal(deps: StandbyDeps): Promise<number> {
  const directory = await dataDirectory(deps);
  const contents = await contentsOf(deps, directory);
  const { histories, layout, segments } = contents;
  const own =
    typeof directory === 'string'
      ? smallestOf([...segments.map(({ name }) => name.timeline), ...histories.keys()])
      : firstSegment(directory, contents.layout).timeline;
  const path = pathTo(latestTimeline(Number.isFinite(own) ? own : 1, histories), histories, layout);
  if (segments.length === 0) deps.report('There is no segment.');
  for (const timeline of listTimelines(contents, path)) describeTimeline(timeline).forEach(deps.report);
  describeOthers(contents).forEach(deps.report);
  if (typeof directory === 'string') {
    deps.report(`Nothing can be recovered from here: ${directory}`);
    return 0;
  }
  sayBackup(deps, directory);
  // A server that is out of recovery has a history of its own and cannot use the archive's WAL.
  const [unfit] = noStandbyObjections(directory);
  if (unfit !== undefined) deps.report(`Nothing can be recovered from here: ${unfit.message}`);
  else await reportRange({ contents, directory, path, server: serverOf(deps, directory.capabilities) });
  return 0;
}
