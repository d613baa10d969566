import { join } from 'node:path';
import { messageOf } from '../../../../errors.ts';
import { parseTimestamp, withDate } from '../../../../postgres/timestamp.ts';
import type { SegmentName } from '../../../../postgres/wal-name.ts';
import { type ArchiveContents, readContents } from '../../../archive/contents.ts';
import { lastCommit } from '../../../archive/last-commit.ts';
import { latestTransactionEnd } from '../../../archive/read-records.ts';
import type { StandbyDeps } from '../../../deps.ts';
import { backupEnd } from '../../../recovery/base-backup-end.ts';
import { isPauseNoted } from '../../../recovery/left-pause.ts';
import { hasEnded, observeReplayed } from '../../../recovery/replayed.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import type { TargetBounds } from '../../../recovery/target.ts';
import { type Server, serverOf } from '../../../server/server.ts';
import type { FailoverFacts, LocalFacts } from '../facts.ts';

type ContentsFact =
  | { readonly kind: 'contents'; readonly contents: ArchiveContents }
  | { readonly kind: 'unusable'; readonly reason: string };

/** Facts that only a recovery to a target needs. */
interface TargetFacts {
  readonly wal: ContentsFact;
  readonly bounds: TargetBounds;
  /** Whether the server here has replayed the end of the requested transaction. */
  readonly hasXidEnded: boolean;
  readonly isStreaming: boolean;
  /** The standby delays its replay: although it runs, the target can still be ahead. */
  readonly isDelayed: boolean;
  /** An earlier recovery to a target was killed, and has left the replay paused. */
  readonly isPauseLeft: boolean;
  /**
   * The latest end of a transaction in the WAL here, in microseconds since 1970. Determined only for a time and a standby
   * that runs: a target that it does not reach would cost it its delay.
   */
  readonly walEnd: bigint | undefined;
}

export interface RecoveryFacts extends FailoverFacts, TargetFacts {}

/** Identifies a target: if a standby is paused at one, the same target may be requested again, to open the server there. */
export function targetKey({ goal, exclusive }: RequestedTarget): string {
  return JSON.stringify({ ...goal, exclusive }, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
}

async function bounds(
  server: Server,
  here: LocalFacts,
  contents: ArchiveContents | undefined,
  requested: RequestedTarget,
): Promise<TargetBounds> {
  const { deps } = server;
  const { directory, state } = here;
  const { record, control } = directory;
  const end = await backupEnd(directory, contents);
  const standsThere = record.recoveredTo === targetKey(requested);
  const zone = zoneOf(here);
  const now = BigInt(deps.now()) * 1000n;
  const asked = requested.goal.kind === 'time' ? parseTimestamp(requested.goal.text, zone) : undefined;
  const isLater = asked?.kind === 'moment' && asked.micros > now;
  const names = contents?.segments.map(({ name }) => name.text) ?? [];
  const replayed = standsThere ? undefined : await observeReplayed(server, directory, state);
  return {
    notBefore: end.time,
    notBeforeLsn: end.lsn,
    replayed: replayed?.time,
    replayedLsn: replayed?.lsn,
    endedBeforeXid: standsThere ? undefined : control?.progress?.endedBeforeXid,
    now,
    lastCommit: isLater ? await lastCommit(server, deps.settings.archivedir, names) : undefined,
    zone,
  };
}

async function contentsHere(
  { settings }: StandbyDeps,
  { directory, archive }: LocalFacts,
): Promise<ContentsFact> {
  if (archive.kind === 'unusable') return archive;
  const { systemIdentifier } = archive.archive.sentinel;
  try {
    const contents = await readContents(settings.archivedir, directory, systemIdentifier);
    return { kind: 'contents', contents };
  } catch (error) {
    return { kind: 'unusable', reason: messageOf(error) };
  }
}

/** A segment without the end of a transaction is rare, and reading far back would take minutes. */
const mostSegments = 8;

function byPlace(a: SegmentName, b: SegmentName): number {
  const [placeA, placeB] = [a.text.slice(8) + a.text, b.text.slice(8) + b.text];
  return placeA < placeB ? -1 : 1;
}

/** Undefined if it cannot be determined. */
async function latestEnd(
  { deps, pgdata, capabilities }: Server,
  { directory, segments, inPgWal }: ArchiveContents,
): Promise<bigint | undefined> {
  const good = segments.filter(({ fault }) => fault === undefined).map(({ name }) => name);
  const inArchive = new Set(good.map(({ text }) => text));
  const names = [...good, ...inPgWal].sort(byPlace).slice(-mostSegments).reverse();
  for (const name of names) {
    const folder = inArchive.has(name.text) ? directory : join(pgdata, capabilities.walDirName);
    const end = await latestTransactionEnd({ name, path: join(folder, name.text) }, deps.signal);
    if (end !== undefined) return end;
  }
  return undefined;
}

/** The time zone in which a time without one is meant. */
function zoneOf({ directory: { record }, configuration }: LocalFacts): string {
  return record.backup?.timeZone ?? configuration.inFile.get('timezone') ?? 'an unknown zone';
}

/** A time of day gets its date before anything else is done with it. */
export function dated(
  deps: Pick<StandbyDeps, 'now'>,
  here: LocalFacts,
  requested: RequestedTarget,
): RequestedTarget {
  const { goal } = requested;
  if (goal.kind !== 'time' || goal.mayLackDate !== true) return requested;
  const text = withDate(goal.text, BigInt(deps.now()) * 1000n, zoneOf(here));
  return { ...requested, goal: { kind: 'time', text } };
}

export async function observeForTarget(
  deps: StandbyDeps,
  here: LocalFacts,
  requested: RequestedTarget,
): Promise<TargetFacts> {
  const server = serverOf(deps, here.directory.capabilities);
  const wal = await contentsHere(deps, here);
  const { goal } = requested;
  const canAsk = here.state.kind === 'recovering' && here.state.answers && goal.kind === 'xid';
  return {
    wal,
    bounds: await bounds(server, here, wal.kind === 'contents' ? wal.contents : undefined, requested),
    hasXidEnded: canAsk && (await hasEnded(server, goal.xid)),
    isStreaming: deps.settings.use_streaming_replication,
    isPauseLeft: here.isPaused && isPauseNoted(here.directory.record),
    // A server that is stopped, or that recovers to a target without its delay, does not show it.
    isDelayed:
      here.delay !== undefined || here.place.ownDelay || deps.settings.recovery_min_apply_delay !== undefined,
    walEnd:
      goal.kind === 'time' && here.state.kind === 'recovering' && wal.kind === 'contents'
        ? await latestEnd(server, wal.contents)
        : undefined,
  };
}
