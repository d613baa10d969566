import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isPossibleSegment,
  parseLsn,
  segmentContaining,
  segmentNumber,
  type WalLayout,
} from '../../postgres/lsn.ts';
import { queuedAmong } from '../../postgres/queued-name.ts';
import type { SegmentName, WalName } from '../../postgres/wal-name.ts';
import { exists } from '../../system/durable.ts';
import type { AnswerOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { readArchiverPart } from '../host/archiver-part.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { findDataDirectory, progressOf } from '../server/progress.ts';
import { listWal, readHistories, readStarts } from './contents.ts';
import { type Cluster, faultOf } from './judge.ts';

type Offer = AnswerOf<'wal-from'>;

/** A promotion fetches only the beginning of a backlog longer than this (64 GB with segments of 16 MB). */
const mostOffered = 4096;

/** The end of the WAL that this standby has received or replayed. */
export function furthestOf({
  replayed,
  received,
  proved,
  isStandby,
}: Omit<AnswerOf<'status'>, 'server'>): bigint {
  const told = [replayed, received, isStandby === true ? proved?.lsn : undefined];
  return told.reduce<bigint>((most, text) => {
    const lsn = text === undefined ? 0n : parseLsn(text);
    return lsn > most ? lsn : most;
  }, 0n);
}

async function goodSegments(
  directory: string,
  names: readonly WalName[],
  cluster: Cluster,
  isWanted: (name: SegmentName) => boolean,
): Promise<{ readonly good: readonly string[]; readonly isCut: boolean }> {
  const wanted = names.filter((name) => name.kind === 'segment' && isWanted(name));
  const starts = await readStarts(directory, wanted.slice(0, mostOffered));
  const good = starts.filter((start) => faultOf(start, cluster) === undefined);
  return { good: good.map(({ name }) => name.text), isCut: wanted.length > mostOffered };
}

/** WAL that this host, as the primary, has not delivered yet. */
async function queuedSegments(
  deps: StandbyDeps,
  isWanted: (name: SegmentName) => boolean,
): Promise<readonly string[] | undefined> {
  const part = await readArchiverPart(deps);
  if (part.kind === 'unusable') return undefined;
  if (part.kind === 'missing') return [];
  const { l_archivedir, standbys } = part.settings;
  const names = new Set<string>();
  for (const standby of standbys) {
    const queue = join(l_archivedir, standby.name);
    if (!(await exists(queue))) continue;
    for (const { name } of queuedAmong(await readdir(queue)))
      if (name.kind === 'segment' && isWanted(name)) names.add(name.text);
  }
  return names.size > mostOffered ? undefined : [...names];
}

/** The last segment that a server writes to is not whole, and one that it will write to next holds older WAL. */
function isWholeHere(name: SegmentName, end: bigint, layout: WalLayout): boolean {
  return segmentNumber(name, layout) < segmentNumber(segmentContaining(name.timeline, end, layout), layout);
}

async function segmentsHere(
  deps: StandbyDeps,
  { pgdata, capabilities, control }: DataDirectory,
  from: bigint,
  end: bigint,
): Promise<Omit<Offer, keyof AnswerOf<'status'>>> {
  if (control?.walSegmentSize === undefined) return { archived: [], inPgWal: [] };
  const layout = {
    segmentSize: control.walSegmentSize,
    walSegmentSkipsFF: capabilities.walSegmentSkipsFF,
  };
  const { archivedir } = deps.settings;
  const walDirectory = join(pgdata, capabilities.walDirName);
  const [archived, local] = [await listWal(archivedir), await listWal(walDirectory)];
  const histories = new Map([
    ...(await readHistories(walDirectory, local)).histories,
    ...(await readHistories(archivedir, archived)).histories,
  ]);
  const cluster = { systemIdentifier: control.systemIdentifier, segmentSize: layout.segmentSize, histories };
  const isFrom = (name: SegmentName) =>
    isPossibleSegment(name, layout) &&
    segmentNumber(name, layout) >= segmentNumber(segmentContaining(name.timeline, from, layout), layout);
  const offered = await goodSegments(archivedir, archived, cluster, isFrom);
  const known = new Set(offered.good);
  const inPgWal = await goodSegments(
    walDirectory,
    local,
    cluster,
    (name) => isFrom(name) && isWholeHere(name, end, layout) && !known.has(name.text),
  );
  return {
    archived: offered.good,
    ...(offered.isCut ? { isCut: true } : {}),
    inPgWal: inPgWal.good,
    walDirectory,
    queued: await queuedSegments(deps, isFrom).catch(() => undefined),
  };
}

/** How far this standby has come, and the whole segments that another standby could fetch here. Changes nothing. */
export async function observeOffer(deps: StandbyDeps, from: bigint): Promise<Offer> {
  const directory = await findDataDirectory(deps);
  if (directory === undefined) return { server: 'no-data', archived: [], inPgWal: [] };
  const progress = await progressOf(deps, directory);
  return { ...progress, ...(await segmentsHere(deps, directory, from, furthestOf(progress))) };
}
