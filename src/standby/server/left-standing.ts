import type { TimelineEntry } from '../../postgres/history.ts';
import type { LeftTimeline } from '../../postgres/left-timeline.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import type { AnswerOf, Standing } from '../../verbs/verbs.ts';

interface StandingFacts {
  readonly progress: AnswerOf<'status'>;
  /**
   * Whether pg_control says before which location recovery cannot stop any more. Without it, a stopped server may have
   * replayed more than is proved.
   */
  readonly knowsMinRecovery: boolean;
  /** The history of the proved timeline; empty if it is unknown. */
  readonly ancestors: readonly TimelineEntry[];
  /** Whether there is WAL here of a timeline that branched off the one that was left. */
  readonly knowsNext: boolean;
  /** Whether an earlier answer was `diverged`. */
  readonly wasDiverged: boolean;
}

/** On another timeline: its history says where it came from. */
function onOtherTimeline(
  timeline: number,
  ancestors: readonly TimelineEntry[],
  mark: LeftTimeline,
): Standing {
  const ancestor = ancestors.find((entry) => entry.timeline === mark.timeline);
  if (ancestor?.end.kind === 'lsn') return ancestor.end.lsn > mark.lsn ? 'diverged' : 'followed';
  // A server that is still on an earlier timeline has not come to the one that was left.
  return timeline > mark.timeline ? 'followed' : 'before';
}

/**
 * Determines whether a standby has replayed a timeline past the location where it was left. The server does not say of
 * which timeline the replayed WAL is: only pg_control proves that. Pure.
 */
export function judgeStanding(
  { progress, knowsMinRecovery, ancestors, knowsNext, wasDiverged }: StandingFacts,
  mark: LeftTimeline,
): Standing {
  const { server, proved, replayed } = progress;
  if (server === 'no-data') return 'before';
  if (proved === undefined) return 'unknown';
  if (proved.timeline !== mark.timeline) return onOtherTimeline(proved.timeline, ancestors, mark);
  if (parseLsn(proved.lsn) > mark.lsn) return 'diverged';
  // An earlier answer, from before the next timeline came here, is true until pg_control proves another one.
  const unproved = wasDiverged ? 'diverged' : 'unknown';
  // Replayed further: it may have changed to the new timeline, of which pg_control does not know yet, if it could find it.
  if (server === 'recovering' && replayed !== undefined) {
    if (parseLsn(replayed) <= mark.lsn) return 'before';
    return knowsNext ? unproved : 'diverged';
  }
  return server === 'down' && knowsMinRecovery ? 'before' : unproved;
}
