import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { append } from '../../lists.ts';
import {
  firstLsnOf,
  formatLsn,
  nameOf,
  parseLsn,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { type SegmentName, type WalName, walNamesAmong } from '../../postgres/wal-name.ts';
import { sha256Of } from '../../system/digest.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { readSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { readCapabilities } from '../server/data-directory.ts';
import { observeProgress } from '../server/progress.ts';
import { listWal } from './contents.ts';
import { boundSegments } from './holdings.ts';

/** The limit of an answer: it is one line, which the other end reads only up to a mebibyte. */
const mostFiles = 4_000;
const mostAside = 4_000;
/** The other end waits for a minute. */
const readingMs = 20_000;

type File = NonNullable<AnswerOf<'inventory'>['files']>[number];

/** Undefined for one that was removed since the directory was listed. */
async function lookAt(path: string, name: string, digests: boolean): Promise<File | undefined> {
  try {
    const found = await stat(path);
    // Something else under the name of a segment is none: its size is that of no segment.
    if (!found.isFile()) return { name, size: 0 };
    return { name, size: found.size, ...(digests ? { sha256: await sha256Of(path) } : {}) };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

interface Looked {
  readonly files: readonly File[];
  /** The number of the first segment that was not looked at. */
  readonly unread: number | undefined;
}

/** As many as there is time for, but at least those of one number: the next answer must begin later than this one. */
async function lookAtAll(
  archivedir: string,
  names: readonly SegmentName[],
  layout: WalLayout,
  digests: boolean,
  isInTime: () => boolean,
): Promise<Looked> {
  const files: File[] = [];
  const first = names[0] && segmentNumber(names[0], layout);
  let last = first;
  for (const name of names) {
    const number = segmentNumber(name, layout);
    // Segments of one number are named together or not at all.
    if (number !== last && number !== first && !isInTime()) return { files, unread: number };
    last = number;
    const file = await lookAt(join(archivedir, name.text), name.text, digests);
    if (file !== undefined) files.push(file);
  }
  return { files, unread: undefined };
}

/** WAL that was moved aside by a mark, by a base backup, or as superseded. */
async function listAsideWal(archivedir: string): Promise<readonly string[]> {
  const entries = await readdir(archivedir).catch(() => []);
  const directories = entries.filter((name) => /^\.(?:left|aside|superseded)-/.test(name));
  const names: string[] = [];
  for (const directory of directories) {
    const found: readonly WalName[] = walNamesAmong(
      await readdir(join(archivedir, directory)).catch(() => []),
    );
    append(
      names,
      found.filter(({ kind }) => kind === 'segment').map(({ text }) => text),
    );
  }
  return names.sort().slice(-mostAside);
}

/** The verb `inventory`: what archivedir holds, as it is. Changes nothing. */
export async function takeInventory(
  deps: StandbyDeps,
  { from, digests }: ArgumentsOf<'inventory'>,
): Promise<AnswerOf<'inventory'>> {
  const { archivedir, pgdata } = deps.settings;
  const untilMs = deps.monotonicMs() + readingMs;
  const listed = await listWal(archivedir);
  const before = await observeProgress(deps);
  const { restartpoint, segmentSize, systemIdentifier } = before;
  if (restartpoint === undefined || segmentSize === undefined || systemIdentifier === undefined)
    return before;
  // An archive that is not mounted looks empty.
  if ((await readSentinel(archivedir))?.systemIdentifier !== systemIdentifier) return before;
  const { walSegmentSkipsFF } = await readCapabilities(pgdata);
  const layout = { segmentSize, walSegmentSkipsFF };
  const start = parseLsn(restartpoint.lsn);
  const first = segmentNumber(segmentContaining(1, start > from ? start : from, layout), layout);
  const segments = listed.filter((name) => name.kind === 'segment');
  const bounded = boundSegments(segments, first, layout, mostFiles);
  const isInTime = (): boolean => deps.monotonicMs() < untilMs;
  const { files, unread } = await lookAtAll(archivedir, bounded.names, layout, digests, isInTime);
  const rest = unread ?? bounded.incompleteFrom;
  return {
    // A file that a cleanup has removed since the list was made is older than this restartpoint.
    ...(await observeProgress(deps)),
    files,
    aside: await listAsideWal(archivedir),
    ...(rest === undefined
      ? {}
      : { incompleteFrom: formatLsn(firstLsnOf(nameOf(1, rest, layout), segmentSize)) }),
  };
}
