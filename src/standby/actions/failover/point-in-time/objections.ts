/** The reasons why a recovery to a target must not begin. */
import { refusal } from '../../../../errors.ts';
import type { Capabilities } from '../../../../postgres/capabilities.ts';
import { formatLsn, segmentNumber, type WalLayout } from '../../../../postgres/lsn.ts';
import type { RecoveryGoal, TargetAction } from '../../../../postgres/recovery-target.ts';
import { latestTimeline, pathTo, type TimelinePath } from '../../../../postgres/timelines.ts';
import type { SegmentName } from '../../../../postgres/wal-name.ts';
import { type ArchiveContents, firstSegment } from '../../../archive/contents.ts';
import { type Walk, walk } from '../../../archive/walk.ts';
import { livenessObjections } from '../../../primary/liveness/verdict.ts';
import { noStandbyObjections } from '../../../recovery/no-standby.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import { showMoment, type Target } from '../../../recovery/target.ts';
import { isHotStandby } from '../../../server/server-configuration.ts';
import { type Attempt, attempt, type Objection, when } from '../../../steps/objections.ts';
import type { LocalFacts } from '../facts.ts';
import { limitObjections, loginObjections, roleObjections } from '../objections.ts';
import type { RecoveryFacts } from './facts.ts';

const goalNames: Readonly<Record<RecoveryGoal['kind'], string>> = {
  time: 'a time',
  xid: 'a transaction',
  lsn: 'an LSN',
  name: 'a named restore point',
  immediate: 'the end of the base backup',
};

const actionNames: Readonly<Record<TargetAction, string>> = {
  promote: 'open at a recovery target',
  pause: 'pause at a recovery target',
  shutdown: 'shut down at a recovery target',
};

function unableObjections(
  { version, recoveryTargets, targetActions }: Capabilities,
  { goal, action }: RequestedTarget,
): readonly Objection[] {
  const server = `PostgreSQL ${version.major}`;
  return [
    ...when(!recoveryTargets.includes(goal.kind), {
      message: `${server} cannot recover to ${goalNames[goal.kind]}`,
      hint: `It can recover to ${recoveryTargets.map((kind) => goalNames[kind]).join(', ')}.`,
    }),
    ...when(!targetActions.includes(action), {
      message: `${server} cannot ${actionNames[action]}`,
      hint: `It supports these actions there: ${targetActions.join(', ')}.`,
    }),
  ];
}

/** A server that cannot be queried would not pause: it would open (up to 9.4) or shut down. */
function unseenPauseObjections(
  { directory, configuration }: LocalFacts,
  action: TargetAction,
): readonly Objection[] {
  return when(action === 'pause' && !isHotStandby(configuration, directory.capabilities), {
    message: 'the server cannot pause at a recovery target: hot_standby is off',
    hint: `Set hot_standby = on in ${configuration.configFile}.`,
  });
}

function stateObjections({ state, directory }: LocalFacts): readonly Objection[] {
  if (state.kind === 'production')
    return [
      {
        message: `the server in "${directory.pgdata}" is out of recovery: it cannot be recovered to a target`,
        hint: 'Make a new base backup and recover from that.',
      },
    ];
  if (state.kind === 'starting')
    return [{ message: 'the server here is still starting: stop it first, with -A stop' }];
  if (state.kind === 'recovering' && !state.answers)
    return [
      {
        message: 'a warm standby runs here, and it cannot be queried for the LSN that it has replayed',
        hint: 'It has replayed all WAL in the archive, so use a cold standby for point-in-time recovery. If the target is still to come, stop this standby first, with -A stop.',
      },
    ];
  return noStandbyObjections(directory);
}

function streamingObjections({ isStreaming, isDelayed }: RecoveryFacts): readonly Objection[] {
  return when(isStreaming && !isDelayed, {
    message: 'point-in-time recovery is not possible on a streaming standby: use_streaming_replication is on',
    hint: 'A streaming standby has replayed all WAL already. Set use_streaming_replication: no on a cold standby, or keep a delayed one: recovery_min_apply_delay.',
  });
}

function endedXidObjections({ hasXidEnded }: RecoveryFacts, { goal }: RequestedTarget): readonly Objection[] {
  if (goal.kind !== 'xid') return [];
  return when(hasXidEnded, {
    message: `the standby has replayed past transaction ${goal.xid} already: that transaction has ended here`,
    hint: 'A recovery only goes forward. Make a new base backup and recover from that, or use a standby that was kept cold.',
  });
}

/** The LSN that the data here has reached, by which timelines are judged. */
function standsAt({ bounds, directory }: RecoveryFacts): bigint {
  const known = [bounds.notBeforeLsn, bounds.replayedLsn, directory.backupLabel?.startLsn];
  return known.reduce<bigint>((most, lsn) => (lsn !== undefined && lsn > most ? lsn : most), 0n);
}

/** The path to the requested timeline, which must lead through the data here. */
function choosePath(
  facts: RecoveryFacts,
  { histories, badHistories, layout }: ArchiveContents,
  own: number,
  wanted: RequestedTarget['timeline'],
): TimelinePath {
  if (badHistories.length > 0)
    throw refusal('a timeline history file cannot be used', {
      detail: badHistories.join('; '),
      hint: 'Copy it again from its source, or move it away.',
    });
  const timeline = wanted === 'latest' ? latestTimeline(own, histories) : wanted === 'current' ? own : wanted;
  if (timeline !== own && !histories.has(timeline)) {
    const known = [...new Set([own, ...histories.keys()])].sort((a, b) => a - b);
    throw refusal(`there is no history file of timeline ${timeline}`, {
      hint: `These timelines are known here: ${known.join(', ')}.`,
    });
  }
  const path = pathTo(timeline, histories, layout);
  refuseOtherWay(path, timeline, own, standsAt(facts));
  return path;
}

function refuseOtherWay(path: TimelinePath, timeline: number, own: number, at: bigint): void {
  const part = path.find((one) => one.timeline === own);
  const hint =
    'List the archive with --wal, then choose another --target-timeline, or use an older base backup.';
  if (part === undefined)
    throw refusal(`timeline ${timeline} does not branch off timeline ${own} of the data here`, { hint });
  if (part.endLsn === undefined || part.endLsn >= at) return;
  throw refusal(
    `the history of timeline ${timeline} leaves timeline ${own} at ${formatLsn(part.endLsn)}, but the data here has reached ${formatLsn(at)}`,
    { hint },
  );
}

const bringHint =
  'Get the missing WAL: the primary may still have it (run "cmd_archiver --flush" there). --wal lists the WAL that is here.';

function withoutBackupWal(
  { bounds }: RecoveryFacts,
  found: Walk,
  from: SegmentName,
  layout: WalLayout,
): Objection | undefined {
  const isShort = bounds.notBeforeLsn !== undefined && found.endLsn < bounds.notBeforeLsn;
  if (found.lastNumber >= segmentNumber(from, layout) && !isShort) return undefined;
  const reason =
    found.obstacle ??
    `the WAL ends before ${found.last === undefined ? `segment ${from.text}` : formatLsn(bounds.notBeforeLsn ?? 0n)}`;
  return { message: `the base backup cannot become consistent: ${reason}`, hint: bringHint };
}

function beyond(found: Walk, { goal, shown }: Target): Objection | undefined {
  if (goal.kind !== 'lsn' || goal.lsn < found.endLsn) return undefined;
  return {
    message: `${shown} lies beyond the WAL that can be replayed, which ends at ${formatLsn(found.endLsn)}: ${found.obstacle ?? `${found.last?.text ?? ''} is the last segment`}`,
    hint: 'Choose an earlier target, or get the missing WAL.',
  };
}

/** A standby that runs would replay all that is here in vain, although it was to replay it later. */
function notHereYet(
  { walEnd, bounds }: RecoveryFacts,
  { goal, shown }: Target,
  exclusive: boolean,
): Objection | undefined {
  if (goal.kind !== 'time' || walEnd === undefined) return undefined;
  // A recovery that includes the moment stops only where it meets a later one.
  if (exclusive ? goal.micros <= walEnd : goal.micros < walEnd) return undefined;
  return {
    message: `the WAL here does not reach ${shown}: the last transaction in it ended at ${showMoment(walEnd, bounds.zone)}`,
    hint: 'On the primary, end a segment after that moment (psql -c "SELECT pg_switch_wal()"; before 10, pg_switch_xlog()). When it has come here, run this again.',
  };
}

/**
 * Only an LSN shows on which side of a gap it lies. --force=gap allows to try other targets, because a target that is
 * not reached never opens the server.
 */
function behindGap(found: Walk, { goal, shown }: Target): Objection | undefined {
  if (found.obstacle === undefined || goal.kind === 'lsn' || goal.kind === 'immediate') return undefined;
  return {
    name: 'gap',
    message: `whether ${shown} can be reached cannot be determined: ${found.obstacle}, and the WAL before it ends at ${formatLsn(found.endLsn)}`,
    hint: bringHint,
    cost: 'if the target lies beyond the gap, the recovery fails and the server does not open',
  };
}

/** Each check assumes that the ones before it have succeeded. */
function walObjections(
  facts: RecoveryFacts,
  { timeline, exclusive }: RequestedTarget,
  target: Attempt<Target>,
): readonly Objection[] {
  if (facts.wal.kind === 'unusable')
    return [
      { message: `the archive cannot be read: ${facts.wal.reason}`, hint: 'Mount or repair archivedir.' },
    ];
  const { contents } = facts.wal;
  const from = firstSegment(facts.directory, contents.layout);
  const path = attempt(() => choosePath(facts, contents, from.timeline, timeline));
  if (target.objections.length + path.objections.length > 0) return path.objections;
  const found = walk(contents, path.value(), segmentNumber(from, contents.layout));
  const objection =
    withoutBackupWal(facts, found, from, contents.layout) ??
    beyond(found, target.value()) ??
    notHereYet(facts, target.value(), exclusive) ??
    behindGap(found, target.value());
  return objection === undefined ? [] : [objection];
}

/** All objections to a recovery to a target. */
export function listRecoveryObjections(
  facts: RecoveryFacts,
  requested: RequestedTarget,
  target: Attempt<Target>,
): readonly Objection[] {
  const unfit = stateObjections(facts);
  // A server that is no standby cannot use the WAL. If the archive cannot be read, that may be why a target looks unreachable.
  const wal = unfit.length > 0 ? [] : walObjections(facts, requested, target);
  // If the server does not open, no client can write to it, and the primary may be alive.
  const opens = requested.action === 'promote';
  return [
    ...streamingObjections(facts),
    ...unableObjections(facts.directory.capabilities, requested),
    ...unfit,
    ...unseenPauseObjections(facts, requested.action),
    ...when(
      opens,
      ...livenessObjections(facts.liveness),
      ...loginObjections(facts),
      ...roleObjections(facts),
    ),
    ...limitObjections(facts),
    ...(facts.wal.kind === 'unusable' ? [...wal, ...target.objections] : [...target.objections, ...wal]),
    ...endedXidObjections(facts, requested),
  ];
}
