import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { largestOf } from '../../lists.ts';
import {
  firstLsnOf,
  formatLsn,
  isPossibleSegment,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import {
  type Histories,
  isOnPath,
  latestTimeline,
  nameOnPath,
  pathTo,
  placesOn,
  type TimelinePath,
} from '../../postgres/timelines.ts';
import type { SegmentName, WalName } from '../../postgres/wal-name.ts';
import type { StandbyDeps } from '../deps.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { firstSegment, type FoundSegment, listWal, readHistories, readStarts } from './contents.ts';
import { type Cluster, faultOf, segmentSizeOf } from './judge.ts';
import type { Archive } from './own-archive.ts';
import { checkRecords, type ReadRecords, type RecordCheck, type SegmentFile } from './read-records.ts';

/** The end of the WAL that a promotion must have replayed. */
export interface ArchivedEnd {
  /** The last archived segment. */
  readonly last: SegmentName;
  /** In bytes. */
  readonly segmentSize: number;
  /** The first byte after the last complete record; undefined if this program cannot read the records. */
  readonly lsn?: bigint;
}

export interface ArchiveCheck {
  /** Obstacles that would keep a promotion from replaying all that the archive holds. */
  readonly problems: readonly string[];
  /** Undefined if nothing is left to replay, or if there are problems. */
  readonly end: ArchivedEnd | undefined;
  /** The archive was read, and contains nothing that was not replayed. */
  readonly isAllReplayed: boolean;
}

type ReplaySegment = Pick<FoundSegment, 'name' | 'fault'>;

export interface ReplayFacts {
  readonly segments: readonly ReplaySegment[];
  /** The segment that is replayed next. */
  readonly from: SegmentName;
  /** The timelines that the server follows. */
  readonly path: TimelinePath;
  /** Good segments in pg_wal, streamed or restored. */
  readonly inPgWal: readonly SegmentName[];
  readonly layout: WalLayout;
}

/** A longer list would help nobody. */
const mostShown = 5;

/** The places in the WAL, from `from` to the last archived segment, for which no timeline of the path has a segment. */
function findGaps({ segments, from, inPgWal, layout, path }: ReplayFacts): string[] {
  const places = placesOn(path, [...segments, ...inPgWal.map((name) => ({ name }))], layout);
  const last = largestOf(segments.map(({ name }) => segmentNumber(name, layout)));
  const missing: string[] = [];
  for (let number = segmentNumber(from, layout); number < last && missing.length < mostShown; number++)
    if (!places.has(number)) missing.push(`segment ${nameOnPath(path, number, layout)} is missing`);
  return missing;
}

/**
 * Finds obstacles that would keep a promotion from replaying everything in the archive. A server takes a missing
 * segment for the end of the WAL, and does not read later ones.
 */
export function findReplayProblems(facts: ReplayFacts): readonly string[] {
  const { from, layout, path } = facts;
  const start = segmentNumber(from, layout);
  const segments = facts.segments.filter(
    ({ name }) => isOnPath(path, name, layout) && segmentNumber(name, layout) >= start,
  );
  if (segments.length === 0) return [];
  const spoilt = segments.flatMap(({ name, fault }) =>
    fault === undefined ? [] : [`segment ${name.text} cannot be replayed: ${fault}`],
  );
  return [...findGaps({ ...facts, segments }), ...spoilt.slice(0, mostShown)];
}

/** A timeline that ended between two segments contains nothing of its own in the second one. */
function hasItsOwn(name: SegmentName, { path, layout }: ReplayFacts): boolean {
  const end = path.find(({ timeline }) => timeline === name.timeline)?.endLsn;
  return end === undefined || firstLsnOf(name, layout.segmentSize) < end;
}

/** If no problem was found: the last archived segment on the way. */
export function findArchivedEnd(facts: ReplayFacts): ArchivedEnd | undefined {
  const { segments, from, layout, path } = facts;
  const place = (name: SegmentName) => segmentNumber(name, layout);
  const last = segments
    .map(({ name }) => name)
    .filter((name) => isOnPath(path, name, layout) && place(name) >= place(from) && hasItsOwn(name, facts))
    .sort((a, b) => place(a) - place(b) || a.timeline - b.timeline)
    .at(-1);
  return last === undefined ? undefined : { last, segmentSize: layout.segmentSize };
}

/**
 * The path from the timeline of the last restartpoint to the newest one that branched off it, as the server looks for
 * it.
 */
export function pathOf(timeline: number, histories: Histories, layout: WalLayout): TimelinePath {
  const path = pathTo(latestTimeline(timeline, histories), histories, layout);
  return path.some((part) => part.timeline === timeline) ? path : pathTo(timeline, histories, layout);
}

/** The histories in pg_wal and in the archive, which wins. */
async function historiesHere(walDirectory: string, local: readonly WalName[], archive: Archive | undefined) {
  const archived = archive === undefined ? undefined : await readHistories(archive.directory, archive.files);
  return new Map([...(await readHistories(walDirectory, local)).histories, ...(archived?.histories ?? [])]);
}

/** The timelines that led to the server here, and that it will follow; undefined if pg_control cannot be read. */
export async function readOwnPath(
  { pgdata, capabilities, control }: DataDirectory,
  archive: Archive | undefined,
): Promise<TimelinePath | undefined> {
  if (control?.walSegmentSize === undefined) return undefined;
  const layout = { segmentSize: control.walSegmentSize, walSegmentSkipsFF: capabilities.walSegmentSkipsFF };
  const walDirectory = join(pgdata, capabilities.walDirName);
  const histories = await historiesHere(walDirectory, await listWal(walDirectory), archive);
  return pathOf(control.timeline, histories, layout);
}

/** Where replay continues: after the last replayed record, or where a start of the server would begin. */
export function nextRecordOf(directory: DataDirectory, replayed: bigint | undefined): bigint | undefined {
  const { control, backupLabel } = directory;
  return replayed ?? backupLabel?.startLsn ?? control?.redoLsn;
}

function nextSegmentOf(
  directory: DataDirectory,
  replayed: bigint | undefined,
  layout: WalLayout,
): SegmentName {
  if (replayed === undefined) return firstSegment(directory, layout);
  return segmentContaining(directory.control?.timeline ?? 1, replayed, layout);
}

/** The number of newest segments whose sizes are compared. */
const askedForSize = 32;

async function sizeOf(directory: DataDirectory, { directory: archivedir, files }: Archive) {
  const recorded = directory.record.backup?.segmentSize;
  if (recorded !== undefined) return recorded;
  const segments = files.filter(({ kind }) => kind === 'segment').sort((a, b) => (a.text < b.text ? -1 : 1));
  return segmentSizeOf(undefined, await readStarts(archivedir, segments.slice(-askedForSize)))?.size;
}

/** Only the segments that are still to be replayed are looked at. */
async function judge(
  directory: string,
  names: readonly WalName[],
  { from, layout }: Pick<ReplayFacts, 'from' | 'layout'>,
  cluster: Cluster,
): Promise<readonly ReplaySegment[]> {
  const start = segmentNumber(from, layout);
  const wanted = names.filter(
    (name) =>
      name.kind === 'segment' && isPossibleSegment(name, layout) && segmentNumber(name, layout) >= start,
  );
  const starts = await readStarts(directory, wanted);
  return starts.map((found) => ({ name: found.name, fault: faultOf(found, cluster) }));
}

/**
 * The good segments up to the last one that follow each other without a gap: the newest timeline's for each place, the
 * archive's first.
 */
function segmentsInRow(
  { segments, inPgWal, from, path, layout }: ReplayFacts,
  last: SegmentName,
  { archive, wal }: { readonly archive: string; readonly wal: string },
): readonly SegmentFile[] {
  const local = inPgWal.map((name) => ({ name, fault: undefined, directory: wal }));
  const archived = segments.map((segment) => ({ ...segment, directory: archive }));
  const places = placesOn(path, [...local, ...archived], layout);
  const row: SegmentFile[] = [];
  for (let number = segmentNumber(from, layout); number <= segmentNumber(last, layout); number++) {
    const found = places.get(number);
    if (found === undefined || found.fault !== undefined) break;
    row.push({ name: found.name, path: join(found.directory, found.name.text) });
  }
  return row;
}

function damageWords(check: RecordCheck, { from, layout }: ReplayFacts): string[] {
  if (check.kind !== 'read' || check.damage === undefined) return [];
  const { at, reason } = check.damage;
  const { text: name } = segmentContaining(from.timeline, at, layout);
  return [`the WAL is damaged at LSN ${formatLsn(at)}, in segment …${name.slice(8)}: ${reason}`];
}

async function readRow(
  deps: Pick<StandbyDeps, 'log' | 'signal'>,
  row: readonly SegmentFile[],
  from: bigint,
  readRecords: ReadRecords,
): Promise<RecordCheck | string> {
  try {
    const check = await readRecords(row, from, deps.signal);
    if (check.kind === 'unknown')
      deps.log.warning(
        `whether the records of the archived WAL are whole cannot be determined: ${check.reason}; only the first page of each segment was looked at`,
      );
    return check;
  } catch (error) {
    deps.signal.throwIfAborted();
    return `the WAL cannot be read: ${messageOf(error)}`;
  }
}

async function readFacts(
  directory: DataDirectory,
  archive: Archive,
  replayed: bigint | undefined,
  otherSize?: number,
): Promise<ReplayFacts | undefined> {
  const { pgdata, capabilities, control } = directory;
  const segmentSize = (await sizeOf(directory, archive)) ?? otherSize;
  if (segmentSize === undefined || control === undefined) return undefined;
  const layout = { segmentSize, walSegmentSkipsFF: capabilities.walSegmentSkipsFF };
  const from = nextSegmentOf(directory, replayed, layout);
  const walDirectory = join(pgdata, capabilities.walDirName);
  const local = await listWal(walDirectory);
  const histories = await historiesHere(walDirectory, local, archive);
  const cluster = { systemIdentifier: control.systemIdentifier, segmentSize, histories };
  const place = { from, layout };
  // A recycled segment has its next name already, but its old contents.
  const inPgWal = (await judge(walDirectory, local, place, cluster)).filter(
    ({ fault }) => fault === undefined,
  );
  return {
    segments: await judge(archive.directory, archive.files, place, cluster),
    from,
    path: pathOf(from.timeline, histories, layout),
    inPgWal: inPgWal.map(({ name }) => name),
    layout,
  };
}

/** Reads what this host has from the segment on that it replays next; undefined if its pg_control cannot be read. */
export async function readReplayFacts(
  directory: DataDirectory,
  archive: Archive,
  replayed: bigint | undefined,
): Promise<ReplayFacts | undefined> {
  return readFacts(directory, archive, replayed, directory.control?.walSegmentSize);
}

/** Examines every archived segment that is still to be replayed, and by `readRecords` every record in them. */
export async function checkArchive(
  deps: Pick<StandbyDeps, 'log' | 'signal'>,
  directory: DataDirectory,
  archive: Archive,
  replayed: bigint | undefined,
  readRecords: ReadRecords = checkRecords,
): Promise<ArchiveCheck> {
  const facts = await readFacts(directory, archive, replayed);
  const from = nextRecordOf(directory, replayed);
  const end = facts === undefined ? undefined : findArchivedEnd(facts);
  if (facts === undefined || from === undefined || end === undefined)
    return { problems: [], end: undefined, isAllReplayed: facts !== undefined && from !== undefined };
  const { pgdata, capabilities } = directory;
  const directories = { archive: archive.directory, wal: join(pgdata, capabilities.walDirName) };
  const row = segmentsInRow(facts, end.last, directories);
  const check = await readRow(deps, row, from, readRecords);
  const inRecords = typeof check === 'string' ? [check] : damageWords(check, facts);
  const problems = [...inRecords, ...findReplayProblems(facts)];
  if (problems.length > 0)
    return {
      problems: [...problems, `what is behind that, up to ${end.last.text}, is not replayed`],
      end: undefined,
      isAllReplayed: false,
    };
  const isRead = typeof check !== 'string' && check.kind === 'read';
  return { problems: [], end: isRead ? { ...end, lsn: check.end } : end, isAllReplayed: false };
}
