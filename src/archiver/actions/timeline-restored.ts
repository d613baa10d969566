import { exitCodes, PitrError, refusal } from '../../errors.ts';
import { describeLeft, formatLeft, type LeftTimeline } from '../../postgres/left-timeline.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { readLeftMarks, writeLeftMarks } from '../../system/left-marks.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { askLeft } from '../lane/ask-left.ts';
import { withDelivery } from '../lane/connect.ts';
import { takeBack } from '../lane/inform-left.ts';
import { type Lane, lanesOf, withLaneLock } from '../lane/lane.ts';
import { rememberRestored } from '../lane/left-state.ts';
import { historyUnknown, readForks } from '../lane/own-forks.ts';
import { type Cluster, readPinnedCluster } from '../wal/cluster.ts';

/** Longer than any other process holds a lane, except a --flush of a long queue. */
const lockWaitMs = 30_000;

/** The outcome at one standby. */
type Restored =
  | { readonly kind: 'informed'; readonly marks: readonly LeftTimeline[] }
  | { readonly kind: 'failed'; readonly reason: string };

/** Only a server whose own history continues behind the fork can say that the timeline was not left. */
async function requireOwnTimeline(
  deps: ArchiverDeps,
  cluster: Cluster,
  timeline: number,
  declared: LeftTimeline | undefined,
): Promise<void> {
  if (cluster.isInRecovery) {
    throw refusal('this server is in recovery', {
      hint: `Run this on the primary whose timeline ${timeline} was not left after all.`,
    });
  }
  const own = await readForks(deps);
  if (own.kind === 'unknown') {
    throw refusal(`it is not known whether this server itself left timeline ${timeline}`, {
      detail: historyUnknown(deps, own.reason),
      hint: 'Correct that, and run this again.',
    });
  }
  const fork = own.forks.find((each) => each.timeline === timeline);
  if (fork === undefined || (declared !== undefined && declared.lsn < fork.lsn)) return;
  throw refusal(`this server itself left timeline ${timeline} at ${formatLsn(fork.lsn)}`, {
    detail: `The standbys would accept WAL of an old primary that is not in the history of this server.`,
    hint: `Run this on the primary whose timeline ${timeline} was not left after all.`,
  });
}

/** Informs a standby that can be reached. The greeting takes back what it was to take back earlier. */
async function informUnderLock(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  timeline: number,
): Promise<Restored> {
  const marks: LeftTimeline[] = [];
  const use = await withDelivery(deps, lane, cluster, [], async ({ shell, sentinel }) => {
    const mark = sentinel?.left.find((each) => each.timeline === timeline);
    if (sentinel === undefined || mark === undefined) return true;
    marks.push(mark);
    await rememberRestored(lane, mark);
    return takeBack(deps, lane, cluster, { shell, sentinel, newest: [] }, mark);
  });
  if (use.kind === 'trouble') return { kind: 'failed', reason: use.trouble.reason };
  if (!use.value) return { kind: 'failed', reason: 'its cmd_standby does not carry it out; see above' };
  return { kind: 'informed', marks };
}

async function informStandby(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  timeline: number,
  known: LeftTimeline | undefined,
): Promise<Restored> {
  const use = async (): Promise<Restored> => {
    if (known !== undefined) await rememberRestored(lane, known);
    return informUnderLock(deps, lane, cluster, timeline);
  };
  return withLaneLock(deps, lane, lockWaitMs, use, () =>
    Promise.resolve({ kind: 'failed', reason: 'another process is sending' }),
  ).catch((error: unknown) => {
    if (error instanceof PitrError) return { kind: 'failed', reason: error.message };
    throw error;
  });
}

/**
 * Remembers what others showed, for a standby that could not be informed. Returns whether there was anything to
 * remember.
 */
async function rememberFor(deps: ArchiverDeps, lane: Lane, marks: readonly LeftTimeline[]): Promise<boolean> {
  const use = async (): Promise<boolean> => {
    for (const mark of marks) await rememberRestored(lane, mark);
    return marks.length > 0;
  };
  return withLaneLock(deps, lane, lockWaitMs, use, () => Promise.resolve(false));
}

/** The marks of a standby to which nothing is delivered, because it was promoted. */
async function marksAt(
  deps: ArchiverDeps,
  lane: Lane,
  { systemIdentifier }: Cluster,
  timeline: number,
): Promise<readonly LeftTimeline[]> {
  const endMs = deps.monotonicMs() + lane.standby.ssh_timeout * 1000;
  const answer = await askLeft(deps, lane, systemIdentifier, endMs);
  return answer.kind === 'answered' ? answer.sentinel.left.filter((mark) => mark.timeline === timeline) : [];
}

/**
 * `--timeline-restored`: the timeline was not left after all. First this host declares it no more, so that no greeting
 * marks it again; then every standby is informed. One that cannot be reached now is informed when it is greeted next.
 */
export async function restoreTimeline(
  deps: ArchiverDeps,
  timeline: number,
  { dryRun }: ActionOptions,
): Promise<number> {
  const cluster = await readPinnedCluster(deps);
  const declared = await readLeftMarks(deps.layout.root);
  const own = declared.find((mark) => mark.timeline === timeline);
  await requireOwnTimeline(deps, cluster, timeline, own);
  const lanes = lanesOf(deps);
  if (dryRun) {
    if (own !== undefined) deps.report(`Would no longer declare: ${describeLeft(own)}`);
    for (const { name } of lanes)
      deps.report(`Would inform standby ${name} that it may take WAL of timeline ${timeline} again`);
    return 0;
  }
  if (own !== undefined)
    await writeLeftMarks(
      deps.layout.root,
      declared.filter((mark) => mark !== own),
    );
  const informed = await Promise.all(
    lanes.map(async (lane) => ({ lane, result: await informStandby(deps, lane, cluster, timeline, own) })),
  );
  const failed = informed.filter(({ result }) => result.kind === 'failed').map(({ lane }) => lane);
  const seen = [
    ...informed.flatMap(({ result }) => (result.kind === 'informed' ? result.marks : [])),
    ...(await Promise.all(failed.map((lane) => marksAt(deps, lane, cluster, timeline)))).flat(),
  ];
  const known = [
    ...new Map([own, ...seen].flatMap((mark) => (mark ? [[formatLeft(mark), mark]] : []))).values(),
  ];
  let isComplete = true;
  for (const { lane, result } of informed) {
    if (result.kind === 'informed') {
      deps.report(`Standby ${lane.name}: takes WAL of timeline ${timeline}`);
    } else if (await rememberFor(deps, lane, known)) {
      deps.report(`Standby ${lane.name}: is informed when it is reached next (${result.reason})`);
    } else {
      isComplete = false;
      deps.log.error(`standby ${lane.name} could not be informed: ${result.reason}`, {
        hint: 'No mark is known that could be taken back later: run this again when the standby can be reached.',
      });
    }
  }
  return isComplete ? 0 : exitCodes.failure;
}
