/**
 * The timelines that this server has left. Its own history proves that; a mark in `left_timelines` counts only if that
 * history confirms it, because the file may remain from a promotion that was a mistake.
 */
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { describeLeft, leavesBy, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { firstLsnOf } from '../../postgres/lsn.ts';
import { historyName } from '../../postgres/wal-name.ts';
import { readIfExists } from '../../system/durable.ts';
import { leftMarksFile, readLeftMarks } from '../../system/left-marks.ts';
import { readSentinel, type Sentinel } from '../../system/sentinel.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Cluster, readCluster } from '../wal/cluster.ts';
import { readOwnWal } from '../wal/own-wal.ts';
import { walDirectory } from '../wal/ready-files.ts';

function forkOf(entry: TimelineEntry, by: string, segmentSize: number): LeftTimeline {
  const { timeline, end } = entry;
  // Up to 9.2 only the segment is known in which the timeline was left.
  return { timeline, by, lsn: end.kind === 'lsn' ? end.lsn : firstLsnOf(end.segment, segmentSize) };
}

export type OwnForks =
  | { readonly kind: 'known'; readonly timeline: number; readonly forks: readonly LeftTimeline[] }
  | { readonly kind: 'unknown'; readonly reason: string };

async function readHistory(pgdata: string, timeline: number): Promise<readonly TimelineEntry[]> {
  if (timeline === 1) return [];
  const { text: name } = historyName(timeline);
  const content = await readIfExists(join(await walDirectory(pgdata), name));
  if (content === undefined)
    throw new PitrError(`there is no ${name}, although the server is on timeline ${timeline}`);
  return parseHistory(content.toString('utf8'), name);
}

/** The timelines that this server has left: by its present history, whether or not it declared them left. */
export async function readForks({ settings: { pgdata }, hostName }: ArchiverDeps): Promise<OwnForks> {
  const cluster = await readCluster(pgdata);
  if (cluster.timeline === undefined)
    return { kind: 'unknown', reason: 'its pg_control has a layout that is not known' };
  try {
    // After a promotion pg_control names the old timeline until the next checkpoint.
    const timeline = (await readOwnWal(pgdata, cluster))?.timeline ?? cluster.timeline;
    const { segmentSize = 16 * 1024 * 1024 } = cluster;
    const entries = await readHistory(pgdata, timeline);
    return { kind: 'known', timeline, forks: entries.map((entry) => forkOf(entry, hostName, segmentSize)) };
  } catch (error) {
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** A mark in `left_timelines` that does not count. */
export interface Unconfirmed {
  readonly mark: LeftTimeline;
  readonly message: string;
  readonly hint: string;
}

/** The timelines that this server has left, and those of them that it declares to the standbys. */
export interface OwnLeft {
  readonly forks: readonly LeftTimeline[];
  /** The timeline that it writes, where its history alone decides: it holds Patroni's lock. */
  readonly leads?: number;
  /** Confirmed by the history. */
  readonly declared: readonly LeftTimeline[];
  readonly unconfirmed: readonly Unconfirmed[];
  /** Why the history cannot be determined, if so: marks that it may well confirm do not count. */
  readonly unknown: string | undefined;
}

export function historyUnknown({ settings }: ArchiverDeps, reason: string): string {
  return `the history of the server in "${settings.pgdata}" cannot be determined (${reason})`;
}

function unconfirmed(deps: ArchiverDeps, mark: LeftTimeline, own: OwnForks): Unconfirmed {
  const { layout, settings } = deps;
  const fork =
    own.kind === 'known' ? own.forks.find(({ timeline }) => timeline === mark.timeline) : undefined;
  const why =
    own.kind === 'unknown'
      ? historyUnknown(deps, own.reason)
      : fork === undefined
        ? `the server in "${settings.pgdata}" is on timeline ${own.timeline}, and its history did not leave that timeline`
        : `the server in "${settings.pgdata}" left that timeline only later (${describeLeft(fork)})`;
  return {
    mark,
    message: `"${leftMarksFile(layout.root)}" says that ${describeLeft(mark)}, but ${why}: that mark is ignored, and no standby is informed of it`,
    hint:
      own.kind === 'unknown'
        ? 'Correct that: until then the standbys would accept WAL of an old primary.'
        : `It remains from an earlier promotion. To remove it, also from standbys that know of it: cmd_archiver -C FILE --timeline-restored ${mark.timeline}`,
  };
}

/** The marks of this host, as far as its history confirms them. A server in recovery declares nothing. */
async function judgeMarks(deps: ArchiverDeps, marks: readonly LeftTimeline[]): Promise<OwnLeft> {
  const own = await readForks(deps);
  const forks = own.kind === 'known' ? own.forks : [];
  return {
    forks,
    declared: marks.filter((mark) => leavesBy(forks, mark)),
    unconfirmed: marks.filter((mark) => !leavesBy(forks, mark)).map((mark) => unconfirmed(deps, mark, own)),
    unknown: own.kind === 'unknown' ? historyUnknown(deps, own.reason) : undefined,
  };
}

/**
 * Where Patroni decides who is the primary, its leader's history is right: all that it has left is left, by every
 * promotion. No file says it, which a killed callback could have left out.
 */
async function leftByHistory(deps: ArchiverDeps): Promise<OwnLeft> {
  const own = await readForks(deps);
  // Nothing is delivered without the marks.
  if (own.kind === 'unknown') throw new PitrError(historyUnknown(deps, own.reason));
  const { forks, timeline } = own;
  return { forks, leads: timeline, declared: forks, unconfirmed: [], unknown: undefined };
}

/**
 * The marks of a standby that contradict the leader: of the timeline that it writes, or at an earlier location than the one
 * where its history left the timeline. Another server was promoted there, and its timeline was not continued.
 */
export function contradicted(
  { leads, forks }: OwnLeft,
  marks: readonly LeftTimeline[],
): readonly LeftTimeline[] {
  if (leads === undefined) return [];
  return marks.filter(
    ({ timeline, lsn }) =>
      timeline === leads || forks.some((fork) => fork.timeline === timeline && fork.lsn > lsn),
  );
}

/**
 * A standby that feeds others passes on the marks of its own archive: the WAL that they forbid it has not, and need not
 * have followed the promotion yet.
 */
async function relayedLeft(
  deps: ArchiverDeps,
  archivedir: string,
  theirs: readonly LeftTimeline[],
): Promise<OwnLeft | undefined> {
  const declared = (await readSentinel(archivedir))?.left ?? [];
  if (declared.length === 0 && theirs.length === 0) return undefined;
  const own = await readForks(deps);
  return {
    forks: own.kind === 'known' ? own.forks : [],
    declared,
    unconfirmed: [],
    unknown: own.kind === 'unknown' ? historyUnknown(deps, own.reason) : undefined,
  };
}

/**
 * Undefined if no timeline was left, as far as this server and the standby's sentinel know: then its history is not
 * read.
 */
export async function readOwnLeft(
  deps: ArchiverDeps,
  { isInRecovery, relayedFrom }: Cluster,
  { left }: Pick<Sentinel, 'left'>,
): Promise<OwnLeft | undefined> {
  if (relayedFrom !== undefined) return relayedLeft(deps, relayedFrom, left);
  if (deps.settings.patroni_url !== undefined && !isInRecovery) return leftByHistory(deps);
  // A server in recovery declares nothing: its WAL as a primary may have been overtaken.
  const marks = isInRecovery ? [] : await readLeftMarks(deps.layout.root);
  return marks.length === 0 && left.length === 0 ? undefined : judgeMarks(deps, marks);
}

/** For a check of the configuration: the marks of this host that do not count. */
export async function findUnconfirmed(deps: ArchiverDeps, cluster: Cluster): Promise<readonly Unconfirmed[]> {
  return (await readOwnLeft(deps, cluster, { left: [] }))?.unconfirmed ?? [];
}
