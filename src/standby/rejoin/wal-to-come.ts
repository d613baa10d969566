/**
 * Whether the WAL can be had that this server must replay before it follows the new primary. It may have been removed
 * there since the fork: then a server that is left as it is, or rewound, would wait for it without end.
 */
import { readdir } from 'node:fs/promises';
import { messageOf, PitrError } from '../../errors.ts';
import { firstLsnOf, nameOf, segmentContaining, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import { nameOnPath, pathTo } from '../../postgres/timelines.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { callVerb } from '../../verbs/call.ts';
import type { StandbyDeps } from '../deps.ts';
import { layoutOf } from '../follow/end-of-wal.ts';
import type { Host } from '../follow/host.ts';
import { isSharedTimeline, type Lineage, type OwnPlace } from '../follow/lineage.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { ArchiveThere } from './offer-wal.ts';
import { forkOf } from './unsent.ts';

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
 * these names. The WAL before it is here: this server has replayed it, or would replay it after a crash.
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

/** Whole segments in the archive there, and those in the queues of its cmd_archiver. */
async function askArchiveThere(
  { shell }: Host,
  command: StandbyCommand | undefined,
  lsn: bigint,
): Promise<readonly string[]> {
  if (command === undefined) throw new PitrError('the archive there does not say how cmd_standby is called');
  const result = await callVerb(shell, command, 'wal-from', { lsn }, limitMs);
  if (result.kind !== 'answered') throw new PitrError(quoted(result.reason));
  const { archived, queued, isCut } = result.answer;
  if (queued === undefined || isCut === true)
    throw new PitrError('cmd_standby there cannot name all segments that it has');
  return [...archived, ...queued];
}

/** Looks first where WAL leaves, then where it arrives. */
async function findLacking(
  deps: StandbyDeps,
  layout: WalLayout,
  host: Host,
  archiveThere: ArchiveThere,
  makesArchive: boolean,
  from: bigint,
): Promise<Lacking | undefined> {
  const { facts, query } = host;
  const rows = await query(`SELECT pg_ls_dir('${facts.capabilities.walDirName}')`);
  const inPgWal = rows.flatMap(([name]) => name ?? []);
  const seen = new Set(inPgWal);
  const absent = lackingWal(seen, from, facts, layout);
  if (absent === undefined) return undefined;
  const here = makesArchive ? [] : await readdir(deps.settings.archivedir);
  if (lackingWal(new Set([...seen, ...here]), from, facts, layout) === undefined) return undefined;
  if (archiveThere.kind === 'unusable') throw new PitrError(archiveThere.reason);
  const first = firstLsnOf(nameOf(facts.timeline, absent.number, layout), layout.segmentSize);
  const there = await askArchiveThere(host, archiveThere.command, first);
  // Some may have arrived meanwhile.
  const arrived = makesArchive ? [] : await readdir(deps.settings.archivedir);
  return lackingWal(new Set([...seen, ...there, ...arrived]), from, facts, layout);
}

export async function observeWalToCome(
  deps: StandbyDeps,
  directory: DataDirectory,
  own: OwnPlace,
  host: Host,
  archiveThere: ArchiveThere,
  makesArchive: boolean,
): Promise<WalToCome> {
  const from = commonEnd(own, host.facts);
  if (from === undefined) return { kind: 'unknown', reason: 'it is unknown where both histories part' };
  try {
    const layout = layoutOf(directory);
    const lacking = await findLacking(deps, layout, host, archiveThere, makesArchive, from);
    return lacking === undefined ? { kind: 'there' } : { kind: 'lacking', lacking };
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

/** Why this server cannot reach the new primary's present by replaying WAL; undefined if nothing proves that. */
export function describeLacking(wal: WalToCome, host: string): string | undefined {
  if (wal.kind !== 'lacking') return undefined;
  const { first, last, count } = wal.lacking;
  const what = count === 1 ? first : `${count} segments from ${first} to ${last}`;
  return `WAL that it would have to replay is neither on ${host} nor in archivedir here: ${what}`;
}

export function describeUnknownWal(reason: string): string {
  return `Unknown: whether all WAL that this server must replay can be had: ${reason}`;
}
