import { join } from 'node:path';
import {
  firstLsnOf,
  formatLsn,
  isPossibleSegment,
  nameOf,
  parseLsn,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { parseWalName, type SegmentName, type WalName } from '../../postgres/wal-name.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { readCapabilities } from '../server/data-directory.ts';
import { observeProgress } from '../server/progress.ts';
import { listWal, readHistories, readStartsWhile } from './contents.ts';
import { faultOf, type FoundStart } from './judge.ts';

/** The limit of an answer: it is one line, which the other end reads only up to a mebibyte. */
const mostNames = 20_000;
/** Each file that is not what its name says makes the answer longer by its reason. */
const mostFaulty = 500;
const longestReason = 200;
/** The other end waits for a minute: on a cold disk an answer in parts comes, a complete one might never. */
const readingMs = 20_000;

interface Bounded {
  readonly names: readonly SegmentName[];
  /** The number of the first segment that was left out; undefined if none was. */
  readonly incompleteFrom: number | undefined;
}

/** The segments from this number on, in the order in which they are replayed; as many as one answer may name. Pure. */
export function boundSegments(
  names: readonly SegmentName[],
  from: number,
  layout: WalLayout,
  most = mostNames,
): Bounded {
  const numbered = names
    .filter((name) => isPossibleSegment(name, layout))
    .map((name) => ({ name, number: segmentNumber(name, layout) }))
    .filter(({ number }) => number >= from)
    .sort((a, b) => a.number - b.number || a.name.timeline - b.name.timeline);
  // Segments of one number are named together or not at all.
  const incompleteFrom = numbered[most]?.number;
  const named = numbered.filter(({ number }) => incompleteFrom === undefined || number < incompleteFrom);
  return { names: named.map(({ name }) => name), incompleteFrom };
}

interface Held {
  readonly names: readonly string[];
  readonly faulty: readonly { readonly name: string; readonly reason: string }[];
}

/** Distinguishes the files that are what their names say. The judge of a segment is that of every recovery. */
async function judgeFiles(
  archivedir: string,
  files: readonly WalName[],
  segments: readonly FoundStart[],
  cluster: { readonly systemIdentifier: string; readonly segmentSize: number },
): Promise<Held> {
  const { histories } = await readHistories(archivedir, files);
  const names: string[] = [];
  const faulty: { name: string; reason: string }[] = [];
  for (const file of files) {
    if (file.kind !== 'history') continue;
    if ((histories.get(file.timeline) ?? []).length > 0) names.push(file.text);
    else faulty.push({ name: file.text, reason: 'it is no timeline history that can be read' });
  }
  for (const start of segments) {
    const reason = faultOf(start, { ...cluster, histories });
    const name = start.name.text;
    if (reason === undefined) names.push(name);
    else if (faulty.length < mostFaulty) faulty.push({ name, reason: reason.slice(0, longestReason) });
  }
  return { names, faulty };
}

/**
 * Reads the starts of segments that are in the order of their numbers, as long as there is time, but never of no number:
 * the next answer must begin later than this one.
 */
export async function readInTime(
  archivedir: string,
  { names, incompleteFrom }: Bounded,
  layout: WalLayout,
  isInTime: () => boolean,
): Promise<{ readonly starts: readonly FoundStart[]; readonly incompleteFrom: number | undefined }> {
  const numberOf = (name: SegmentName): number => segmentNumber(name, layout);
  const [first] = names;
  const isOfFirst = (name: SegmentName): boolean => first !== undefined && numberOf(name) === numberOf(first);
  const { starts, unread } = await readStartsWhile(
    archivedir,
    names,
    (next) => isOfFirst(next) || isInTime(),
  );
  if (unread === undefined) return { starts, incompleteFrom };
  const end = numberOf(unread);
  // Segments of one number are named together or not at all.
  return { starts: starts.filter(({ name }) => numberOf(name) < end), incompleteFrom: end };
}

/** The limit of what is said of pg_wal, which holds little more than the server itself needs. */
const mostOwn = 5_000;

/** The locations before which all WAL was replayed here. */
function replayedTo({ proved, replayed }: Pick<AnswerOf<'list'>, 'proved' | 'replayed'>): bigint {
  const known = [proved?.lsn, replayed].flatMap((text) => (text === undefined ? [] : [parseLsn(text)]));
  return known.reduce((one, other) => (one > other ? one : other), 0n);
}

/**
 * A former primary that rejoined as it is has its own WAL in pg_wal alone. A segment that the server has not replayed to its end
 * may be unfinished, or one that was kept for later use under its next name.
 */
async function listOwn(
  walDirectory: string,
  first: number,
  replayed: bigint,
  layout: WalLayout,
  isInTime: () => boolean,
  systemIdentifier: string,
): Promise<readonly string[]> {
  const end = segmentNumber(segmentContaining(1, replayed, layout), layout);
  const files = await listWal(walDirectory);
  const segments = files
    .filter((name) => name.kind === 'segment')
    .filter((name) => isPossibleSegment(name, layout) && segmentNumber(name, layout) < end);
  const bounded = boundSegments(segments, first, layout, mostOwn);
  const { starts } = await readInTime(walDirectory, bounded, layout, isInTime);
  const cluster = { systemIdentifier, segmentSize: layout.segmentSize };
  const { names } = await judgeFiles(walDirectory, files, starts, cluster);
  return names.filter((name) => parseWalName(name).kind === 'segment');
}

/** The verb `list`: how far this standby has come, and what its archivedir holds from there on. Changes nothing. */
export async function listHoldings(
  deps: StandbyDeps,
  { from }: ArgumentsOf<'list'>,
): Promise<AnswerOf<'list'>> {
  const { archivedir, pgdata } = deps.settings;
  const untilMs = deps.monotonicMs() + readingMs;
  const progress = await observeProgress(deps);
  const { restartpoint, segmentSize } = progress;
  if (restartpoint === undefined || segmentSize === undefined) return progress;
  // An archive that is not mounted looks empty: nothing may be sent because of that.
  const { systemIdentifier } = progress;
  if (systemIdentifier === undefined) return progress;
  if ((await readSentinel(archivedir))?.systemIdentifier !== systemIdentifier) return progress;
  const { walSegmentSkipsFF, walDirName } = await readCapabilities(pgdata);
  const layout = { segmentSize, walSegmentSkipsFF };
  const start = parseLsn(restartpoint.lsn);
  const first = segmentNumber(segmentContaining(1, start > from ? start : from, layout), layout);
  const files = await listWal(archivedir);
  const bounded = boundSegments(
    files.filter((name) => name.kind === 'segment'),
    first,
    layout,
  );
  const isInTime = (): boolean => deps.monotonicMs() < untilMs;
  const { starts, incompleteFrom } = await readInTime(archivedir, bounded, layout, isInTime);
  const held = await judgeFiles(archivedir, files, starts, { systemIdentifier, segmentSize });
  const rest = incompleteFrom === undefined ? undefined : nameOf(1, incompleteFrom, layout);
  const inWal = await listOwn(
    join(pgdata, walDirName),
    first,
    replayedTo(progress),
    layout,
    isInTime,
    systemIdentifier,
  );
  const own = inWal.filter((name) => !held.names.includes(name));
  return {
    ...progress,
    ...held,
    ...(own.length === 0 ? {} : { own }),
    ...(rest === undefined ? {} : { incompleteFrom: formatLsn(firstLsnOf(rest, segmentSize)) }),
  };
}
