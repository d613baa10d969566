import { usageError } from '../../errors.ts';
import {
  type Parsed,
  parseTargetAction,
  parseTargetLsn,
  parseTargetName,
  parseTargetTimeline,
  parseXid,
  type RecoveryGoal,
  type RecoveryTargetSettings,
} from '../../postgres/recovery-target.ts';

/** A time without a zone can be read only if the server's zone is known. */
export type RequestedGoal =
  { readonly kind: 'time'; readonly text: string } | Exclude<RecoveryGoal, { readonly kind: 'time' }>;

/** The recovery target that the command line asks for. */
export interface RequestedTarget extends Omit<RecoveryTargetSettings, 'goal'> {
  readonly goal: RequestedGoal;
}

/** The command line's options, as commander names them. */
export interface TargetFlags {
  readonly recover?: string;
  readonly targetTime?: string;
  readonly targetXid?: string;
  readonly targetLsn?: string;
  readonly targetName?: string;
  readonly targetImmediate?: true;
  readonly targetExclusive?: true;
  readonly targetTimeline?: string;
  readonly targetAction?: string;
}

const example = "Recovery to a moment: cmd_standby -C FILE -F999 -R '2008-05-28 11:00:38'";

function must<T>(word: string, parsed: Parsed<T>): T {
  if (parsed.kind === 'good') return parsed.value;
  throw usageError(`${word}: ${parsed.reason}`, example);
}

type Asked = readonly { readonly word: string; readonly goal: () => RequestedGoal }[];

function askedGoals(flags: TargetFlags): Asked {
  const { recover, targetTime, targetXid, targetLsn, targetName, targetImmediate } = flags;
  const goal = (word: string, text: string | undefined, read: (text: string) => RequestedGoal): Asked =>
    text === undefined ? [] : [{ word, goal: () => read(text) }];
  return [
    ...goal('-R', recover, (text) => ({ kind: 'time', text })),
    ...goal('--target-time', targetTime, (text) => ({ kind: 'time', text })),
    ...goal('--target-xid', targetXid, (text) => ({
      kind: 'xid',
      xid: must('--target-xid', parseXid(text)),
    })),
    ...goal('--target-lsn', targetLsn, (text) => ({
      kind: 'lsn',
      lsn: must('--target-lsn', parseTargetLsn(text)),
    })),
    ...goal('--target-name', targetName, (text) => ({
      kind: 'name',
      name: must('--target-name', parseTargetName(text)),
    })),
    ...(targetImmediate === undefined
      ? []
      : [{ word: '--target-immediate', goal: () => ({ kind: 'immediate' }) as const }]),
  ];
}

/** Options that modify a target, and have no meaning without one. */
function manners(flags: TargetFlags): readonly string[] {
  return [
    ...(flags.targetExclusive === undefined ? [] : ['--target-exclusive']),
    ...(flags.targetTimeline === undefined ? [] : ['--target-timeline']),
    ...(flags.targetAction === undefined ? [] : ['--target-action']),
  ];
}

function refuseExclusive(goal: RequestedGoal): void {
  if (goal.kind !== 'name' && goal.kind !== 'immediate') return;
  throw usageError(
    `--target-exclusive does not go with --target-${goal.kind}`,
    'It goes with a time, a transaction or an LSN.',
  );
}

/** The first option that needs -F999, for a message. */
export function targetWord(flags: TargetFlags): string | undefined {
  return askedGoals(flags)[0]?.word ?? manners(flags)[0];
}

/** Undefined if no target is requested. Throws a usage error. */
export function requestedTarget(flags: TargetFlags): RequestedTarget | undefined {
  const asked = askedGoals(flags);
  const [first] = asked;
  if (asked.length > 1)
    throw usageError(`one target at a time, not ${asked.map(({ word }) => word).join(' and ')}`, example);
  if (first === undefined) {
    const [manner] = manners(flags);
    if (manner === undefined) return undefined;
    throw usageError(`${manner} needs a target`, 'Name it by -R or by another --target-… option.');
  }
  const goal = first.goal();
  const exclusive = flags.targetExclusive === true;
  if (exclusive) refuseExclusive(goal);
  return {
    goal,
    exclusive,
    timeline: must('--target-timeline', parseTargetTimeline(flags.targetTimeline ?? 'latest')),
    action: must('--target-action', parseTargetAction(flags.targetAction ?? 'promote')),
  };
}
