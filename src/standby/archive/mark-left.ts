/**
 * The timelines that were left: marks in the sentinel, and the WAL from behind the fork, which is moved aside so that
 * no recovery finds it.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError, refusal } from '../../errors.ts';
import {
  describeLeft,
  formatLeft,
  type LeftTimeline,
  reachesPastFork,
  withLeft,
} from '../../postgres/left-timeline.ts';
import type { Histories } from '../../postgres/timelines.ts';
import { parseWalName, type SegmentName, type WalName } from '../../postgres/wal-name.ts';
import { fsyncPath, namesIfThere, systemErrorCode } from '../../system/durable.ts';
import { moveIfThere, rmdir } from '../../system/files.ts';
import { readSentinel, type Sentinel, sentinelName, withSentinel } from '../../system/sentinel.ts';
import type { AnswerOf, ArgumentsOf, Standing } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { noteHistory } from '../host/history.ts';
import { type DataDirectory, readDataDirectory } from '../server/data-directory.ts';
import { judgeStanding } from '../server/left-standing.ts';
import { observeProgress } from '../server/progress.ts';
import { makeAsideDirectory } from './aside-directory.ts';
import { listWal, readHistories, readStarts } from './contents.ts';
import { segmentSizeOf } from './judge.ts';
import { putFileBack, type Return } from './put-back.ts';

function asidePrefix(timeline: number): string {
  return `.left-${timeline}-`;
}

/** Refuses a mark for another cluster: it would forbid WAL that this archive needs. */
function requireSentinel(
  archivedir: string,
  sentinel: Sentinel | undefined,
  cluster: string,
  directory: DataDirectory | undefined,
): Sentinel {
  if (sentinel === undefined) {
    throw refusal(`archivedir "${archivedir}" has no usable ${sentinelName}`, {
      hint: 'Is its file system mounted? If it is the right directory: cmd_standby -C FILE -I',
    });
  }
  const own = [sentinel.systemIdentifier, directory?.control?.systemIdentifier ?? sentinel.systemIdentifier];
  const other = own.find((identifier) => identifier !== cluster);
  if (other === undefined) return sentinel;
  throw refusal(`this is a standby of cluster ${other}, not of ${cluster}`, {
    hint: 'Check the host name and r_archivedir of this standby in the INI file of cmd_archiver.',
  });
}

async function dataDirectory({ settings }: StandbyDeps): Promise<DataDirectory | undefined> {
  // Without a base backup there is no data directory: the archive alone can be marked.
  return readDataDirectory(settings.pgdata).catch(() => undefined);
}

async function segmentsOf(archivedir: string, timeline: number): Promise<readonly SegmentName[]> {
  return (await readdir(archivedir))
    .map(parseWalName)
    .filter((name): name is SegmentName => name.kind === 'segment' && name.timeline === timeline);
}

async function segmentSizeIn(
  archivedir: string,
  names: readonly SegmentName[],
  directory: DataDirectory | undefined,
): Promise<number> {
  const { control, record } = directory ?? {};
  const size =
    control?.walSegmentSize ??
    segmentSizeOf(record?.backup?.segmentSize, await readStarts(archivedir, names))?.size;
  if (size !== undefined) return size;
  throw new PitrError(`cannot determine the size of the segments in "${archivedir}"`, {
    detail: 'The timeline is marked as left, but what is here of it was not moved aside.',
    hint: 'Look at these files, and at pgdata; then ask again.',
  });
}

/** @returns the names of the files that were moved */
async function movePastFork(
  deps: StandbyDeps,
  mark: LeftTimeline,
  directory: DataDirectory | undefined,
): Promise<readonly string[]> {
  const { archivedir } = deps.settings;
  const held = await segmentsOf(archivedir, mark.timeline);
  if (held.length === 0) return [];
  const segmentSize = await segmentSizeIn(archivedir, held, directory);
  const forbidden = held.filter((name) =>
    reachesPastFork(name, mark, { segmentSize, walSegmentSkipsFF: false }),
  );
  if (forbidden.length === 0) return [];
  const aside = await makeAsideDirectory(deps, archivedir, asidePrefix(mark.timeline));
  const moved: string[] = [];
  for (const { text: name } of forbidden)
    if (await moveIfThere(join(archivedir, name), join(aside, name))) moved.push(name);
  if (moved.length === 0) await rmdir(aside);
  else await fsyncPath(aside);
  await fsyncPath(archivedir);
  return moved.sort();
}

async function moveAndSay(
  deps: StandbyDeps,
  mark: LeftTimeline,
  directory: DataDirectory | undefined,
): Promise<readonly string[]> {
  const moved = await movePastFork(deps, mark, directory);
  if (moved.length > 0) deps.log.notice(`moved ${moved.length} segments aside: ${describeLeft(mark)}`);
  return moved;
}

/** All that lies aside of a timeline, as `DIRECTORY/NAME`. */
export async function listAside(archivedir: string, timeline: number): Promise<readonly string[]> {
  const entries = await readdir(archivedir, { withFileTypes: true });
  const directories = entries.filter(
    (entry) => entry.isDirectory() && entry.name.startsWith(asidePrefix(timeline)),
  );
  const lists = directories.map(async ({ name: directory }) => {
    // A mark that is taken back at the same time removes the directory.
    const names = await namesIfThere(join(archivedir, directory));
    return names
      .filter((name) => parseWalName(name).kind !== 'not-wal')
      .map((name) => `${directory}/${name}`);
  });
  return (await Promise.all(lists)).flat().sort();
}

/** The WAL files of a directory, and the histories among them. */
interface FoundWal {
  readonly names: readonly WalName[];
  readonly histories: Histories;
}

async function findWal(directory: string): Promise<FoundWal> {
  const names = await listWal(directory);
  return { names, histories: (await readHistories(directory, names)).histories };
}

/**
 * Whether there is WAL here of a timeline that branched off the one that was left: only then can the standby have
 * followed it. Its history alone proves nothing: a standby that streams fetches that although it cannot follow.
 */
async function knowsNext(
  directory: DataDirectory | undefined,
  archived: FoundWal,
  { timeline }: LeftTimeline,
): Promise<boolean> {
  if (directory === undefined) return true;
  const local = await findWal(join(directory.pgdata, directory.capabilities.walDirName));
  const histories = [...archived.histories, ...local.histories];
  const next = new Set(
    histories
      .filter(([, entries]) => entries.some((entry) => entry.timeline === timeline))
      .map(([branch]) => branch),
  );
  // Up to 9.1 the server does not keep segments that a restore_command brings from somewhere else.
  if (directory.control?.progress === undefined) return next.size > 0;
  return [...archived.names, ...local.names].some(
    (name) => name.kind === 'segment' && next.has(name.timeline),
  );
}

/** Whether this host's standby has replayed past the fork. */
async function observeStanding(
  deps: StandbyDeps,
  mark: LeftTimeline,
  wasDiverged: boolean,
): Promise<Standing> {
  const { archivedir } = deps.settings;
  const progress = await observeProgress(deps);
  const directory = await dataDirectory(deps);
  // After the standby was asked: what it had followed by then is here.
  const archived = await findWal(archivedir);
  return judgeStanding(
    {
      progress,
      knowsMinRecovery: directory?.control?.progress !== undefined,
      ancestors: archived.histories.get(progress.proved?.timeline ?? 0) ?? [],
      knowsNext: await knowsNext(directory, archived, mark),
      wasDiverged,
    },
    mark,
  );
}

/** Past the location of a mark the server has replayed also if it was seen past a later location. */
function isDiverged({ diverged = [] }: Sentinel, { timeline, lsn }: LeftTimeline): boolean {
  return diverged.some((each) => each.timeline === timeline && each.lsn >= lsn);
}

function withoutDiverged(sentinel: Sentinel, timeline: number): Sentinel {
  return { ...sentinel, diverged: sentinel.diverged?.filter((each) => each.timeline !== timeline) };
}

/** Notes in the sentinel that the standby has diverged, or that this is not so any more. */
async function noteStanding({ run, settings }: StandbyDeps, mark: LeftTimeline, diverged: boolean) {
  await withSentinel(run, settings.archivedir, async (now, write) => {
    // It was taken back meanwhile.
    if (!now?.left.some((each) => formatLeft(each) === formatLeft(mark))) return;
    if (isDiverged(now, mark) === diverged) return;
    const { diverged: others = [], ...rest } = withoutDiverged(now, mark.timeline);
    await write({ ...rest, diverged: diverged ? [...others, mark] : others });
  });
}

/** How this host's standby stands to a mark, by this observation and an earlier one. */
async function standingOf(deps: StandbyDeps, mark: LeftTimeline): Promise<Standing> {
  const sentinel = await readSentinel(deps.settings.archivedir);
  const wasDiverged = sentinel !== undefined && isDiverged(sentinel, mark);
  const standing = await observeStanding(deps, mark, wasDiverged);
  const isSo = standing === 'diverged';
  if (standing === 'unknown' || isSo === wasDiverged) return standing;
  // The answer is right all the same, and on a full disk the caller needs it.
  await noteStanding(deps, mark, isSo).catch((error: unknown) => {
    deps.log.warning(
      `"${deps.settings.archivedir}" does not keep how this standby stands to a left timeline`,
      {
        detail: messageOf(error),
      },
    );
  });
  return standing;
}

/**
 * First the mark, on the disk: from then on no delivery stores such a file. Only then are those moved that are here,
 * and only then is the standby asked how far it has come: it finds none of them any more.
 */
export async function markLeft(
  deps: StandbyDeps,
  { timeline, lsn, host, cluster }: ArgumentsOf<'mark-left'>,
): Promise<AnswerOf<'mark-left'>> {
  const { archivedir } = deps.settings;
  const directory = await dataDirectory(deps);
  const told = await withSentinel(deps.run, archivedir, async (before, write) => {
    const sentinel = requireSentinel(archivedir, before, cluster, directory);
    const left = withLeft(sentinel.left, { timeline, lsn, by: host });
    const isNew = left !== sentinel.left;
    if (isNew) await write({ ...sentinel, left });
    const mark = left.find((each) => each.timeline === timeline) ?? { timeline, lsn, by: host };
    const moved = await moveAndSay(deps, mark, directory);
    if (isNew) await noteHistory(deps, { kind: 'left-marked', mark: formatLeft(mark), moved: moved.length });
    return { mark, moved };
  });
  return {
    mark: formatLeft(told.mark),
    standing: await standingOf(deps, told.mark),
    moved: told.moved,
    aside: await listAside(archivedir, timeline),
  };
}

/** Sets no mark: what stands here against the one in force is moved aside. */
export async function checkLeft(
  deps: StandbyDeps,
  { timeline, cluster }: ArgumentsOf<'check-left'>,
): Promise<AnswerOf<'check-left'>> {
  const { archivedir } = deps.settings;
  const directory = await dataDirectory(deps);
  const found = await withSentinel(deps.run, archivedir, async (before) => {
    const { left } = requireSentinel(archivedir, before, cluster, directory);
    const mark = left.find((each) => each.timeline === timeline);
    return mark === undefined ? undefined : { mark, moved: await moveAndSay(deps, mark, directory) };
  });
  if (found === undefined) return { moved: [] };
  const { mark, moved } = found;
  return { mark: formatLeft(mark), standing: await standingOf(deps, mark), moved };
}

async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOTEMPTY' && systemErrorCode(error) !== 'EEXIST') throw error;
  });
}

/** First the mark goes: while it is there, the next `mark-left` would move the files aside again. */
export async function unmarkLeft(
  deps: StandbyDeps,
  { timeline, cluster }: ArgumentsOf<'unmark-left'>,
): Promise<AnswerOf<'unmark-left'>> {
  const { archivedir } = deps.settings;
  const directory = await dataDirectory(deps);
  return withSentinel(deps.run, archivedir, async (before, write) => {
    const sentinel = requireSentinel(archivedir, before, cluster, directory);
    const mark = sentinel.left.find((each) => each.timeline === timeline);
    if (mark !== undefined) {
      const left = sentinel.left.filter((each) => each !== mark);
      await write({ ...withoutDiverged(sentinel, timeline), left });
      await noteHistory(deps, { kind: 'left-taken-back', mark: formatLeft(mark) });
    }
    const result: Record<Return, string[]> = { returned: [], kept: [] };
    const directories = new Set<string>();
    for (const entry of await listAside(archivedir, timeline)) {
      const [aside = '', name = ''] = entry.split('/');
      directories.add(aside);
      const outcome = await putFileBack(join(archivedir, entry), archivedir, name);
      result[outcome].push(outcome === 'returned' ? name : entry);
    }
    for (const each of directories) await removeIfEmpty(join(archivedir, each));
    await fsyncPath(archivedir);
    return { ...(mark === undefined ? {} : { mark: formatLeft(mark) }), ...result };
  });
}
