/**
 * Whether the WAL can be had that the server here must replay before it follows another one. It may have been removed
 * there since this server has come to its place, or since the fork: then this server would wait for it without end.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { firstLsnOf, nameOf, segmentContaining, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import { walDirectorySql } from '../../postgres/server-sql.ts';
import { nameOnPath, pathTo } from '../../postgres/timelines.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { callVerb } from '../../verbs/call.ts';
import { listWal, readHistories, readStarts } from '../archive/contents.ts';
import { faultOf } from '../archive/judge.ts';
import type { StandbyDeps } from '../deps.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { layoutOf } from './end-of-wal.ts';
import type { OwnFacts } from './facts.ts';
import type { Host, HostAnswer } from './host.ts';
import { type ArchiveThere, observeArchiveThere } from './host-archive.ts';
import type { Address } from './ini-file.ts';
import { forkOf, isSharedTimeline, type Lineage, type OwnPlace } from './lineage.ts';

/** Segments that are nowhere. */
export interface Lacking {
  readonly first: string;
  readonly last: string;
  readonly count: number;
  /** The number of the first one. */
  readonly number: number;
}

export type WalToCome =
  | { readonly kind: 'there' }
  | { readonly kind: 'lacking'; readonly lacking: Lacking }
  | { readonly kind: 'unknown'; readonly reason: string };

/**
 * Up to here both servers have the same WAL; undefined if they share no timeline, or that is not known. A server that was
 * just promoted may have WAL of a later timeline than its pg_control names: then its own end is unknown.
 */
export function commonEnd(own: OwnPlace, there: Lineage): bigint | undefined {
  if (own.unknown !== undefined) return undefined;
  const ancestors = (own.history ?? []).map(({ timeline, end }) => ({
    timeline,
    lsn: end.kind === 'lsn' ? end.lsn : undefined,
  }));
  const ours = [...ancestors, { timeline: own.timeline, lsn: own.lsn }];
  const shared = ours.findLast(({ timeline }) => isSharedTimeline(timeline, own, there));
  if (shared === undefined) return undefined;
  const theirs = shared.timeline === there.timeline ? there.lsn : forkOf(shared.timeline, there);
  if (shared.lsn === undefined || theirs === undefined) return theirs;
  return shared.lsn < theirs ? shared.lsn : theirs;
}

/**
 * The segments from the one with this location on, up to the one that the other server writes now, that are not among
 * these names.
 */
export function lackingWal(
  names: ReadonlySet<string>,
  from: bigint,
  there: Lineage,
  layout: WalLayout,
): Lacking | undefined {
  const path = pathTo(there.timeline, new Map([[there.timeline, there.history]]), layout);
  const numberAt = (lsn: bigint) => segmentNumber(segmentContaining(there.timeline, lsn, layout), layout);
  let lacking: Lacking | undefined;
  for (let number = numberAt(from); number < numberAt(there.lsn); number += 1) {
    const name = nameOnPath(path, number, layout);
    if (names.has(name)) continue;
    lacking = {
      first: lacking?.first ?? name,
      last: name,
      count: (lacking?.count ?? 0) + 1,
      number: lacking?.number ?? number,
    };
  }
  return lacking;
}

const limitMs = 60_000;

/** Whole segments in the archive and in pg_wal there, and those in the queues of its cmd_archiver. */
async function askArchiveThere(
  { shell }: Host,
  command: StandbyCommand | undefined,
  lsn: bigint,
): Promise<readonly string[]> {
  if (command === undefined) throw new PitrError('the archive there does not say how cmd_standby is called');
  const result = await callVerb(shell, command, 'wal-from', { lsn }, limitMs);
  if (result.kind !== 'answered') throw new PitrError(quoted(result.reason));
  const { archived, inPgWal, queued, isCut } = result.answer;
  if (queued === undefined || isCut === true)
    throw new PitrError('cmd_standby there cannot name all segments that it has');
  return [...archived, ...inPgWal, ...queued];
}

interface Search {
  readonly deps: StandbyDeps;
  readonly directory: DataDirectory;
  readonly host: Host;
  readonly archiveThere: () => Promise<ArchiveThere>;
  /** A server that was never a standby has no archive yet. */
  readonly makesArchive: boolean;
  /** It will be started again: it does not run, or a reload does not let it follow another server. */
  readonly isStarted: boolean;
}

/** A standby may have received segments that it has not replayed. Files that wait for reuse have names of later ones. */
async function inPgWalHere({ pgdata, capabilities, control }: DataDirectory): Promise<readonly string[]> {
  if (control?.walSegmentSize === undefined) return [];
  const walDirectory = join(pgdata, capabilities.walDirName);
  const names = await listWal(walDirectory);
  const { histories } = await readHistories(walDirectory, names);
  const { systemIdentifier, walSegmentSize: segmentSize } = control;
  const starts = await readStarts(walDirectory, names);
  const good = starts.filter(
    (start) => faultOf(start, { systemIdentifier, segmentSize, histories }) === undefined,
  );
  return good.map(({ name }) => name.text);
}

/** A standby's pg_wal has files that wait for reuse below its place, too: there only the first page shows what a file is. */
async function inPgWalThere({ facts, query }: Host): Promise<readonly string[]> {
  if (facts.inRecovery) return [];
  const rows = await query(walDirectorySql(facts.capabilities));
  return rows.flatMap(([name]) => name ?? []);
}

/** Looks first where WAL leaves, then where it arrives. */
async function findLacking(search: Search, from: bigint): Promise<Lacking | undefined> {
  const { deps, directory, host, makesArchive } = search;
  const { facts } = host;
  const layout = layoutOf(directory);
  const lackingIn = (names: readonly string[]) => lackingWal(new Set(names), from, facts, layout);
  const inArchive = async () => (makesArchive ? [] : readdir(deps.settings.archivedir));
  const leaving = await inPgWalThere(host);
  if (lackingIn(leaving) === undefined) return undefined;
  const seen = [...leaving, ...(await inArchive()), ...(await inPgWalHere(directory))];
  const absent = lackingIn(seen);
  if (absent === undefined) return undefined;
  const archiveThere = await search.archiveThere();
  if (archiveThere.kind === 'unusable') throw new PitrError(archiveThere.reason);
  const first = firstLsnOf(nameOf(facts.timeline, absent.number, layout), layout.segmentSize);
  const there = await askArchiveThere(host, archiveThere.command, first);
  // Some may have arrived meanwhile.
  return lackingIn([...seen, ...there, ...(await inArchive())]);
}

/**
 * The WAL before the end of what both have was replayed here. A server that is started again replays it again from the
 * restartpoint on, or from the start of its base backup, and it may have been removed since.
 */
export function replayStart(
  end: bigint,
  { backupLabel, control }: Pick<DataDirectory, 'backupLabel' | 'control'>,
  isStarted: boolean,
): bigint {
  const start = backupLabel?.startLsn ?? control?.redoLsn;
  return isStarted && start !== undefined && start < end ? start : end;
}

async function observeWalToCome(search: Search, own: OwnPlace): Promise<WalToCome> {
  const { deps, host, directory, isStarted } = search;
  const end = commonEnd(own, host.facts);
  const from = end === undefined ? undefined : replayStart(end, directory, isStarted);
  if (from === undefined) return { kind: 'unknown', reason: 'it is unknown where both histories part' };
  try {
    const lacking = await findLacking(search, from);
    return lacking === undefined ? { kind: 'there' } : { kind: 'lacking', lacking };
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** A server that cannot follow that one for another reason has an objection for it. */
export async function observeWalFor(
  deps: StandbyDeps,
  own: OwnFacts,
  answer: HostAnswer,
  { host: name }: Address,
): Promise<WalToCome> {
  const { directory } = own.start;
  if (answer.kind === 'silent' || answer.isSelf || own.state.kind === 'production') return { kind: 'there' };
  const { host } = answer;
  if (directory.control?.systemIdentifier !== host.facts.systemIdentifier) return { kind: 'there' };
  const archiveThere = () => observeArchiveThere(deps, name, host);
  const { makesArchive, state, reloads, findsTimelines, start } = own;
  const isStarted = state.kind === 'stopped' || !(start.streams ? reloads : findsTimelines);
  return observeWalToCome({ deps, directory, host, archiveThere, makesArchive, isStarted }, own.own);
}

/** Why this server cannot reach the other one's present by replaying WAL; undefined if nothing proves that. */
export function describeLacking(wal: WalToCome, host: string): string | undefined {
  if (wal.kind !== 'lacking') return undefined;
  const { first, last, count } = wal.lacking;
  const what = count === 1 ? first : `${count} segments from ${first} to ${last}`;
  return `WAL that it would have to replay is neither on ${host} nor in archivedir here: ${what}`;
}

export function describeUnknownWal(reason: string): string {
  return `Unknown: whether all WAL that this server must replay can be had: ${reason}`;
}
