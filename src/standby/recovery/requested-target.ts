import type { OptionsOf } from '../../arguments.ts';
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
import type { flags } from '../usage.ts';

/** A time without a zone can be read only if the server's zone is known. */
export type RequestedGoal =
  /** `mayLackDate`: a time of day alone means the last moment at which the clock showed it. */
  | { readonly kind: 'time'; readonly text: string; readonly mayLackDate?: true }
  | Exclude<RecoveryGoal, { readonly kind: 'time' }>;

/** The recovery target that the command line asks for. */
export interface RequestedTarget extends Omit<RecoveryTargetSettings, 'goal'> {
  readonly goal: RequestedGoal;
}

type TargetFlags = OptionsOf<typeof flags>;

const example = "For point-in-time recovery: cmd_standby -C FILE -F999 -R '2008-05-28 11:00:38'";

function must<T>(word: string, parsed: Parsed<T>): T {
  if (parsed.kind === 'good') return parsed.value;
  throw usageError(`${word}: ${parsed.reason}`, example);
}

interface Asked {
  readonly word: string;
  readonly goal: () => RequestedGoal;
}

type GoalOption = readonly [
  word: string,
  value: string | true | undefined,
  read: (word: string, text: string) => RequestedGoal,
];

/** The targets that are asked for. */
function askedGoals(flags: TargetFlags): readonly Asked[] {
  const { recover, targetTime, targetXid, targetLsn, targetName: name, targetImmediate } = flags;
  const time = (text: string) => ({ kind: 'time', text }) as const;
  const options: readonly GoalOption[] = [
    ['-R', recover, (_, text) => time(text)],
    ['--target-time', targetTime, (_, text) => time(text)],
    ['--target-xid', targetXid, (word, text) => ({ kind: 'xid', xid: must(word, parseXid(text)) })],
    ['--target-lsn', targetLsn, (word, text) => ({ kind: 'lsn', lsn: must(word, parseTargetLsn(text)) })],
    ['--target-name', name, (word, text) => ({ kind: 'name', name: must(word, parseTargetName(text)) })],
    ['--target-immediate', targetImmediate, () => ({ kind: 'immediate' })],
  ];
  return options.flatMap(([word, value, read]) =>
    value === undefined ? [] : [{ word, goal: () => read(word, String(value)) }],
  );
}

/** Options that modify a target, and have no meaning without one. */
function manners({ targetExclusive, targetTimeline, targetAction }: TargetFlags): readonly string[] {
  const values = {
    '--target-exclusive': targetExclusive,
    '--target-timeline': targetTimeline,
    '--target-action': targetAction,
  };
  return Object.entries(values).flatMap(([word, value]) => (value === undefined ? [] : [word]));
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

/** `--pause-before`: the server pauses just before that moment, and nothing is opened. */
export function pauseBefore(text: string): RequestedTarget {
  return {
    goal: { kind: 'time', text, mayLackDate: true },
    exclusive: true,
    timeline: 'latest',
    action: 'pause',
  };
}
