import { stat } from 'node:fs/promises';
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
import type { SegmentName } from '../../postgres/wal-name.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { readCapabilities } from '../server/data-directory.ts';
import { observeProgress } from '../server/progress.ts';
import { listWal } from './contents.ts';

/** The limit of an answer: it is one line, which the other end reads only up to a mebibyte. */
const mostNames = 20_000;

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

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}

/** The verb `list`: how far this standby has come, and what its archivedir holds from there on. Changes nothing. */
export async function listHoldings(
  deps: StandbyDeps,
  { from }: ArgumentsOf<'list'>,
): Promise<AnswerOf<'list'>> {
  const { archivedir, pgdata } = deps.settings;
  const progress = await observeProgress(deps);
  const { restartpoint, segmentSize } = progress;
  if (restartpoint === undefined || segmentSize === undefined) return progress;
  // An archive that is not mounted looks empty: nothing may be sent because of that.
  if ((await readSentinel(archivedir))?.systemIdentifier !== progress.systemIdentifier) return progress;
  const { walSegmentSkipsFF } = await readCapabilities(pgdata);
  const layout = { segmentSize, walSegmentSkipsFF };
  const start = parseLsn(restartpoint.lsn);
  const first = segmentNumber(segmentContaining(1, start > from ? start : from, layout), layout);
  const files = await listWal(archivedir);
  const bounded = boundSegments(
    files.filter((name) => name.kind === 'segment'),
    first,
    layout,
  );
  const whole: string[] = [];
  for (const { text: name } of bounded.names)
    if ((await sizeOf(join(archivedir, name))) === segmentSize) whole.push(name);
  const histories = files.filter(({ kind }) => kind === 'history').map(({ text }) => text);
  const { incompleteFrom } = bounded;
  const rest = incompleteFrom === undefined ? undefined : nameOf(1, incompleteFrom, layout);
  return {
    ...progress,
    names: [...histories, ...whole],
    ...(rest === undefined ? {} : { incompleteFrom: formatLsn(firstLsnOf(rest, segmentSize)) }),
  };
}
