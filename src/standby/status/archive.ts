/** The contents of archivedir by its names: a look must not read a thousand files. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { largestOf } from '../../lists.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import { firstLsnOf, nameOf, segmentNumber, type WalLayout } from '../../postgres/lsn.ts';
import { isOnPath, placesOn, type TimelinePath } from '../../postgres/timelines.ts';
import type { SegmentName, WalName } from '../../postgres/wal-name.ts';
import { NotKnown } from '../../status/fact.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { firstSegment, listWal, readHistories, readStarts } from '../archive/contents.ts';
import { faultOf } from '../archive/judge.ts';
import { describeMissing } from '../archive/missing.ts';
import { type Archive, observeArchive } from '../archive/own-archive.ts';
import { readOwnPath } from '../archive/replay-check.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { StatusDeps } from './view.ts';

export interface ArchiveFacts {
  readonly kind: 'archive';
  readonly directory: string;
  /** Those that recovery here can use, on the way to the newest timeline. */
  readonly segments: number;
  readonly bytes: number;
  readonly first: string | undefined;
  readonly last: string | undefined;
  /** The newest timeline to which there is a way. */
  readonly timeline: number;
  /** The first byte that follows them, as far as they follow each other without a gap. */
  readonly end: bigint | undefined;
  /** Seconds since the last one of these was written; it may have arrived later. */
  readonly lastAgeS: number | undefined;
  /** Seconds since the first one arrived that is not replayed to its end; undefined if there is none. */
  readonly waitingAgeS: number | undefined;
  /** Those that are missing between them, as `FIRST to LAST`. */
  readonly missing: string | undefined;
  /** Timelines that were left: their WAL from behind the fork is not accepted. */
  readonly left: Archive['sentinel']['left'];
  readonly diverged: Archive['sentinel']['left'];
}

export type ArchiveState = ArchiveFacts | { readonly kind: 'unusable'; readonly reason: string };

/** Only the beginning of a longer gap is looked for in pg_wal. */
const mostLookedFor = 64;

interface Place {
  readonly directory: DataDirectory;
  readonly archive: Archive;
  readonly path: TimelinePath;
  readonly layout: WalLayout;
  /** The number of the segment with which recovery would begin. */
  readonly from: number;
  readonly replayed: bigint | undefined;
}

function onPath(names: readonly WalName[], { path, layout }: Place): readonly SegmentName[] {
  return names.filter((name) => name.kind === 'segment').filter((name) => isOnPath(path, name, layout));
}

/** Good segments in pg_wal for the places where archivedir has nothing; recycled ones have a name as well. */
async function fillsInPgWal(
  place: Place,
  held: ReadonlyMap<number, unknown>,
): Promise<readonly SegmentName[]> {
  const { directory, archive, layout, from } = place;
  const { pgdata, capabilities, control } = directory;
  if (control === undefined) return [];
  const last = largestOf(held.keys());
  const walDirectory = join(pgdata, capabilities.walDirName);
  const wanted = onPath(await listWal(walDirectory), place).filter((name) => {
    const number = segmentNumber(name, layout);
    return number >= from && number < last && !held.has(number);
  });
  const { histories } = await readHistories(archive.directory, archive.files);
  const cluster = {
    systemIdentifier: control.systemIdentifier,
    segmentSize: layout.segmentSize,
    histories,
  };
  const starts = await readStarts(walDirectory, wanted.slice(0, mostLookedFor));
  const good = starts.filter((start) => faultOf(start, cluster) === undefined).map(({ name }) => name);
  const numbers = new Set(good.map((name) => segmentNumber(name, layout)));
  // The last one that was streamed is not whole, and nothing follows it in pg_wal.
  return good.filter((name) => {
    const number = segmentNumber(name, layout);
    return (
      numbers.has(number + 1) ||
      firstLsnOf(nameOf(1, number + 1, layout), layout.segmentSize) <= provedLsn(control)
    );
  });
}

function provedLsn(control: ControlFile): bigint {
  const proved = control.progress?.minRecoveryLsn ?? 0n;
  return proved > control.redoLsn ? proved : control.redoLsn;
}

/** Seconds since it was written, and since it arrived. */
async function agesOf(nowMs: number, directory: string, name: SegmentName | undefined) {
  if (name === undefined) return undefined;
  try {
    const { mtimeMs, ctimeMs } = await stat(join(directory, name.text));
    const ageS = (ms: number) => Math.max(0, (nowMs - ms) / 1000);
    // rsync keeps the time on the primary; a copy by another program has only that of its arrival.
    return { writtenS: ageS(Math.min(mtimeMs, ctimeMs)), arrivedS: ageS(ctimeMs) };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The first archived segment with WAL that was not replayed. */
function firstWaiting(
  numbers: readonly number[],
  { replayed, layout }: Place,
  places: ReadonlyMap<number, { readonly name: SegmentName }>,
): SegmentName | undefined {
  const endOf = (number: number) => firstLsnOf(nameOf(1, number + 1, layout), layout.segmentSize);
  const number = replayed === undefined ? undefined : numbers.find((each) => endOf(each) > replayed);
  return number === undefined ? undefined : places.get(number)?.name;
}

/**
 * The number of the first segment at which a replay would stop: it begins at `from`, and comes over a gap before the first
 * archived one only if that gap is replayed already.
 */
export function firstLacking(
  held: ReadonlySet<number>,
  archived: number | undefined,
  { from, replayed, layout }: Pick<Place, 'from' | 'replayed' | 'layout'>,
): number {
  const begin =
    archived === undefined ? undefined : firstLsnOf(nameOf(1, archived, layout), layout.segmentSize);
  const isPassed = begin !== undefined && replayed !== undefined && begin <= replayed;
  let next = isPassed && archived !== undefined ? archived : from;
  while (held.has(next)) next += 1;
  return next;
}

async function describe(deps: StatusDeps, place: Place): Promise<ArchiveFacts> {
  const { archive, path, layout, from } = place;
  const segments = onPath(archive.files, place);
  const places = placesOn(
    path,
    segments.map((name) => ({ name })),
    layout,
  );
  const numbers = [...places.keys()].sort((a, b) => a - b).filter((number) => number >= from);
  const named = segments.map((name) => ({ name, bytes: layout.segmentSize, fault: undefined }));
  const gap = describeMissing({ segments: named, inPgWal: [], layout }, path, from);
  const inPgWal = gap === undefined ? [] : await fillsInPgWal(place, places);
  const missing = gap && describeMissing({ segments: named, inPgWal, layout }, path, from);
  const held = new Set([...numbers, ...inPgWal.map((name) => segmentNumber(name, layout))]);
  const next = firstLacking(held, numbers[0], place);
  const [last, before] = [next - 1, places.get(next - 1)];
  const end = held.has(last) ? firstLsnOf(nameOf(1, next, layout), layout.segmentSize) : undefined;
  const waiting = firstWaiting(numbers, place, places);
  const all = [...places.keys()].sort((a, b) => a - b);
  const nameAt = (number: number | undefined) =>
    number === undefined ? undefined : places.get(number)?.name.text;
  const newest = places.get(all.at(-1) ?? 0)?.name;
  return {
    kind: 'archive',
    directory: archive.directory,
    segments: places.size,
    bytes: places.size * layout.segmentSize,
    first: nameAt(all[0]),
    last: newest?.text,
    timeline: path.at(-1)?.timeline ?? 1,
    end,
    lastAgeS: (await agesOf(deps.now(), archive.directory, before?.name))?.writtenS,
    waitingAgeS: (await agesOf(deps.now(), archive.directory, waiting))?.arrivedS,
    missing,
    left: archive.sentinel.left,
    diverged: archive.sentinel.diverged ?? [],
  };
}

export async function observeArchiveState(
  deps: StatusDeps,
  directory: DataDirectory | undefined,
  replayed: bigint | undefined,
): Promise<ArchiveState> {
  const { archivedir, pgdata } = deps.settings;
  const fact = await observeArchive(archivedir, { pgdata, control: directory?.control });
  if (fact.kind === 'unusable') return fact;
  const { archive } = fact;
  const path = directory && (await readOwnPath(directory, archive));
  const segmentSize = directory?.control?.walSegmentSize;
  if (directory === undefined || path === undefined || segmentSize === undefined)
    throw new NotKnown('without the pg_control of its cluster, nothing shows what is missing');
  const layout = { segmentSize, walSegmentSkipsFF: directory.capabilities.walSegmentSkipsFF };
  const from = segmentNumber(firstSegment(directory, layout), layout);
  return describe(deps, { directory, archive, path, layout, from, replayed });
}
