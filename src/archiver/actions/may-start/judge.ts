/** Whether the server may start as a primary, by what the standbys and the files here say. Pure. */
import { describeLeft, formatLeft, type LeftTimeline } from '../../../postgres/left-timeline.ts';
import { formatLsn } from '../../../postgres/lsn.ts';
import type { LeftAnswer } from '../../lane/ask-left.ts';
import type { OwnCluster } from './own-cluster.ts';

/** One standby and its answer. */
export interface Asked {
  readonly name: string;
  readonly answer: LeftAnswer;
  /** The marks that the operator has taken back here, and of which the standby could not be informed. */
  readonly restored: readonly LeftTimeline[];
  /** The mark by which it refused WAL of this server when it was reached last. */
  readonly refusedBy: LeftTimeline | undefined;
}

export interface StartFacts {
  readonly cluster: OwnCluster;
  readonly asked: readonly Asked[];
  /** The marks in this host's own archive, from its time as a standby. */
  readonly own: readonly LeftTimeline[];
}

export type StartVerdict =
  | { readonly kind: 'allowed'; readonly reason: string; readonly warnings: readonly string[] }
  | {
      readonly kind: 'refused';
      readonly message: string;
      readonly detail?: string | undefined;
      readonly hint: string;
      /** The reason by itself, without the host that gives it; the message if it is absent. */
      readonly state?: string;
    }
  /** No standby could say it. */
  | { readonly kind: 'unseen'; readonly reasons: readonly string[] };

/** A mark for this server's timeline, and who says it. */
interface Found {
  readonly mark: LeftTimeline;
  readonly by: string;
}

/**
 * It does not count how far this server has written: one that ends before the fork would write other WAL on the same
 * timeline, too.
 */
function isAbout({ timeline, begin }: OwnCluster, mark: LeftTimeline): boolean {
  return mark.timeline === timeline && (begin === undefined || mark.lsn >= begin);
}

function marksOf({ name, answer, restored, refusedBy }: Asked): readonly Found[] {
  if (answer.kind !== 'answered')
    return refusedBy === undefined
      ? []
      : [{ mark: refusedBy, by: `standby ${name} said when it was reached last` }];
  const isRestored = (mark: LeftTimeline) => restored.some((each) => formatLeft(each) === formatLeft(mark));
  return answer.sentinel.left
    .filter((mark) => !isRestored(mark))
    .map((mark) => ({ mark, by: `standby ${name} says` }));
}

function refusedFor({ timeline, checkpointLsn }: OwnCluster, { mark, by }: Found): StartVerdict {
  const detail =
    checkpointLsn > mark.lsn
      ? `This server has written past there, to LSN ${formatLsn(checkpointLsn)} at least: what it wrote after the fork is only here.`
      : undefined;
  return {
    kind: 'refused',
    message: `PostgreSQL must not start here: ${describeLeft(mark)}, as ${by}`,
    state: describeLeft(mark),
    detail,
    hint: `Make this server a standby of ${mark.by}: cmd_standby -C FILE --rejoin ${mark.by} on this host (doc/rejoin.md). If that promotion was a mistake and this server is the primary: cmd_archiver -C FILE --timeline-restored ${timeline}, then start it.`,
  };
}

function takingRole({ name, answer }: Asked): StartVerdict | undefined {
  if (answer.kind !== 'answered' || answer.takesRole === undefined) return undefined;
  const action = answer.takesRole === 'switchover' ? '--switchover' : '-F999';
  return {
    kind: 'refused',
    message: `PostgreSQL must not start here: ${name} is taking the primary's role, by a ${answer.takesRole} that is not finished`,
    hint: `Let ${action} on ${name} end, or run it again there. Then make this server its standby: cmd_standby -C FILE --rejoin ${name} on this host.`,
  };
}

/**
 * The later timeline of a standby that has followed another primary, whose cmd_archiver does not know it: its archive has no mark. A
 * server that was itself opened says so in its archive.
 */
function laterTimeline(answer: LeftAnswer, own: number): number | undefined {
  if (answer.kind !== 'answered' || answer.sentinel.promotedAtTimeline !== undefined) return undefined;
  return (answer.timeline ?? 0) > own ? answer.timeline : undefined;
}

function warningOf({ name, answer }: Asked, { timeline: own }: OwnCluster): readonly string[] {
  if (answer.kind !== 'answered') return [`standby ${name} could not say it: ${answer.reason}`];
  if (answer.unsaid !== undefined)
    return [`standby ${name} could not say whether it is being promoted: ${answer.unsaid}`];
  const { promotedAtTimeline: promoted } = answer.sentinel;
  const later = laterTimeline(answer, own);
  if (later !== undefined)
    return [
      `standby ${name} has replayed WAL of timeline ${later}, and this server continues timeline ${own}: perhaps another server is the primary`,
    ];
  if (promoted === undefined) return [];
  return [`${name} was promoted, at timeline ${promoted}, and has not taken the primary's role`];
}

/** It knows of its archive and of its server that no failover has taken the role from a server on this timeline. */
export function hasSaid(answer: LeftAnswer, timeline: number): boolean {
  if (answer.kind !== 'answered' || answer.unsaid !== undefined) return false;
  return laterTimeline(answer, timeline) === undefined;
}

export function judgeStart({ cluster, asked, own }: StartFacts): StartVerdict {
  const found = [
    ...asked.flatMap(marksOf),
    ...own.map((mark) => ({ mark, by: 'the archive of this host says' })),
  ].find(({ mark }) => isAbout(cluster, mark));
  if (found !== undefined) return refusedFor(cluster, found);
  for (const each of asked) {
    const verdict = takingRole(each);
    if (verdict !== undefined) return verdict;
  }
  const warnings = asked.flatMap((each) => warningOf(each, cluster));
  const names = asked.filter(({ answer }) => hasSaid(answer, cluster.timeline)).map(({ name }) => name);
  if (names.length === 0) return { kind: 'unseen', reasons: warnings };
  return {
    kind: 'allowed',
    reason: `timeline ${cluster.timeline} was not left, as ${names.join(' and ')} ${names.length === 1 ? 'says' : 'say'}`,
    warnings,
  };
}
