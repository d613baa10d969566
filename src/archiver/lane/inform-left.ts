/**
 * Brings the marks of a standby up to date at a greeting, before anything is delivered: it is informed of the marks of
 * this host that its sentinel lacks, asked whether it has replayed past a fork, and informed which marks were taken back.
 */
import { PitrError } from '../../errors.ts';
import {
  describeLeft,
  formatLeft,
  type LeftTimeline,
  reachesPastFork,
  withLeft,
} from '../../postgres/left-timeline.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { readLeftMarks } from '../../system/left-marks.ts';
import type { Sentinel } from '../../system/sentinel.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { callVerb } from '../../verbs/call.ts';
import type { Concern, Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Cluster } from '../wal/cluster.ts';
import type { Lane } from './lane.ts';
import { hasFollowed, noteFollowed, noteRestored, restoredFor } from './left-state.ts';

/** The program there has to start first. */
function verbLimitMs({ standby }: Lane): number {
  return Math.max(30_000, standby.ssh_timeout * 1000);
}

/** The facts that the greeting showed, and its connection. */
interface Greeting {
  readonly shell: RemoteShell;
  readonly sentinel: Sentinel;
  readonly newest: readonly SegmentName[];
}

export type Informed =
  | { readonly kind: 'informed'; readonly isChanged: boolean; readonly concern: Concern | undefined }
  | { readonly kind: 'trouble'; readonly trouble: Trouble };

/** One mark to report, and whether the standby's archive is unsafe without it. */
interface MarkReport {
  readonly mark: LeftTimeline;
  readonly isMissing: boolean;
}

function diverged(mark: LeftTimeline): Concern {
  return {
    kind: 'diverged',
    reason: `${describeLeft(mark)}, and this standby has replayed that timeline past there`,
    hint: 'It can never follow the new timeline. On that host: stop its server, and make a new base backup (cmd_standby -B).',
  };
}

function unmarked(mark: LeftTimeline, reason: string): Concern {
  return {
    kind: 'unmarked',
    reason: `it does not know that ${describeLeft(mark)}, and would take WAL of an old primary: ${reason}`,
    hint: 'On that host, run cmd_standby -C FILE --cleanup once: its sentinel then says how cmd_standby is called there.',
  };
}

/** Whether a segment from behind the fork stands there, although the mark forbids it. */
function isHeld(newest: readonly SegmentName[], mark: LeftTimeline, { segmentSize }: Cluster): boolean {
  // Where the size is unknown, the largest one errs on the safe side: to repeat a mark is harmless.
  const layout = { segmentSize: segmentSize ?? 1024 * 1024 * 1024, walSegmentSkipsFF: false };
  return newest.some((name) => reachesPastFork(name, mark, layout));
}

/** A server in recovery declares nothing left, but what stands in the archive against a mark is wrong all the same. */
async function marksToReport(
  { layout }: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  { sentinel, newest }: Greeting,
): Promise<readonly MarkReport[]> {
  const reports: MarkReport[] = sentinel.left
    .filter((mark) => isHeld(newest, mark, cluster))
    .map((mark) => ({ mark, isMissing: true }));
  if (cluster.isInRecovery) return reports;
  for (const mark of await readLeftMarks(layout.root)) {
    const isMissing = withLeft(sentinel.left, mark) !== sentinel.left;
    if (isMissing || !(await hasFollowed(lane, mark))) reports.push({ mark, isMissing });
  }
  return reports;
}

/** Reports one mark. A mark that is there already is reported again to learn how far the standby has come. */
async function reportMark(
  { log }: ArchiverDeps,
  lane: Lane,
  { systemIdentifier }: Cluster,
  { shell, sentinel }: Greeting,
  { mark, isMissing }: MarkReport,
): Promise<Informed> {
  const settled = (concern?: Concern): Informed => ({ kind: 'informed', isChanged: isMissing, concern });
  const failed = (reason: string): Informed => {
    if (isMissing) return { kind: 'informed', isChanged: false, concern: unmarked(mark, reason) };
    log.debug(`standby ${lane.name} does not say how far it has come: ${reason}`);
    return settled();
  };
  if (sentinel.command === undefined) return failed('its sentinel does not say how cmd_standby is called');
  const { timeline, lsn, by: host } = mark;
  const args = { timeline, lsn, host, cluster: systemIdentifier };
  const limitMs = verbLimitMs(lane);
  const result = await callVerb(shell, sentinel.command, 'mark-left', args, limitMs);
  if (result.kind === 'lost') {
    const reason = `the connection was lost: ${result.reason}`;
    return { kind: 'trouble', trouble: { kind: 'unreachable', reason } };
  }
  if (result.kind === 'refused') return failed(result.reason);
  const { standing, moved } = result.answer;
  if (moved.length > 0)
    log.notice(`standby ${lane.name} moved ${moved.length} segments aside: ${describeLeft(mark)}`);
  if (standing === 'followed') await noteFollowed(lane, mark);
  return settled(standing === 'diverged' ? diverged(mark) : undefined);
}

/**
 * Takes a mark back, as the operator asked this host to do.
 *
 * @returns whether the standby is without it now
 */
export async function takeBack(
  { log }: ArchiverDeps,
  lane: Lane,
  { systemIdentifier }: Cluster,
  { shell, sentinel }: Greeting,
  mark: LeftTimeline,
): Promise<boolean> {
  const isThere = sentinel.left.some((each) => formatLeft(each) === formatLeft(mark));
  if (isThere) {
    const limitMs = verbLimitMs(lane);
    const args = { timeline: mark.timeline, cluster: systemIdentifier };
    const result =
      sentinel.command === undefined
        ? ({ kind: 'refused', reason: 'its sentinel does not say how cmd_standby is called' } as const)
        : await callVerb(shell, sentinel.command, 'unmark-left', args, limitMs);
    if (result.kind !== 'answered') {
      log.warning(`standby ${lane.name} could not be informed that timeline ${mark.timeline} was restored`, {
        detail: result.reason,
      });
      return false;
    }
    log.notice(`standby ${lane.name} takes WAL of timeline ${mark.timeline} again`);
  }
  await noteRestored(lane, mark);
  return true;
}

/** The caller holds the lane's lock. */
export async function informLeft(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  greeting: Greeting,
): Promise<Informed> {
  let isChanged = false;
  let concern: Concern | undefined;
  try {
    for (const mark of await restoredFor(lane))
      isChanged = (await takeBack(deps, lane, cluster, greeting, mark)) || isChanged;
    for (const report of await marksToReport(deps, lane, cluster, greeting)) {
      const informed = await reportMark(deps, lane, cluster, greeting, report);
      if (informed.kind === 'trouble') return informed;
      isChanged ||= informed.isChanged;
      if (concern?.kind !== 'diverged') concern = informed.concern ?? concern;
    }
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    const { message, hint } = error;
    return { kind: 'trouble', trouble: { kind: 'misconfigured', reason: message, hint } };
  }
  return { kind: 'informed', isChanged, concern };
}
