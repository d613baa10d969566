import type { ArchivedEnd } from '../../archive/replay-check.ts';
import { type RecoverySettings, recoverySettings } from '../../recovery/settings.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import { raised } from '../../server/limits.ts';
import { isHotStandby } from '../../server/server-configuration.ts';
import { slotsOf } from '../../slot/for-others.ts';
import { overrules } from '../../steps/force.ts';
import { refuseOn, when } from '../../steps/objections.ts';
import type { ReplayDelay } from './delay.ts';
import type { FailoverFacts, LocalFacts } from './facts.ts';
import { fenceSteps } from './fence.ts';
import { isPausedAtTarget, listFailoverObjections } from './objections.ts';
import { type Role, roleOf } from './role.ts';
import type { FailoverStep } from './steps.ts';

interface Between {
  /** They must succeed before the role is taken. */
  readonly checks?: readonly FailoverStep[];
  /** They come before a restart, whose checkpoint may remove WAL. */
  readonly save?: readonly FailoverStep[];
}

/** The steps after the server has opened. */
export function afterSteps(
  facts: FailoverFacts,
  role: Role,
  { checks = [], save = [] }: Between = {},
): readonly FailoverStep[] {
  const { failoverConf } = facts;
  return [
    // This step comes before any that may turn archiving on.
    { kind: 'set-aside-last-segment' },
    { kind: 'verify-write' },
    { kind: 'record-opening' },
    { kind: 'mark-archive' },
    { kind: 'clear-settings' },
    ...checks,
    // Before clients or archiving may be turned on: from now on WAL of the old timeline is refused.
    ...roleSteps(facts, role),
    ...save,
    ...(failoverConf === undefined ? [] : [{ kind: 'use-failover-conf', conf: failoverConf } as const]),
    { kind: 'archive-history' },
    { kind: 'check-archiving' },
    // The last look before clients are sent here: the server may have ended since the first one.
    { kind: 'verify-write' },
    ...actionSteps(facts),
    ...leaveSlots(facts, role),
  ];
}

function roleSteps({ siblings }: FailoverFacts, role: Role): readonly FailoverStep[] {
  if (role.kind !== 'taken') return [];
  return [
    { kind: 'declare-left', siblings },
    ...when(siblings.siblings.length > 0, { kind: 'inform-siblings', siblings }),
  ];
}

/** The failover is finished only when its action has ended. */
function actionSteps({ action: command, directory }: LocalFacts): readonly FailoverStep[] {
  const isRepeated = directory.record.isActionBegun === true;
  const run: readonly FailoverStep[] =
    command === undefined ? [] : [{ kind: 'run-action', command, isRepeated }];
  return [...run, { kind: 'record-promotion' }];
}

/** --force=replay accepts the loss that an earlier run has reported. */
function acceptsLoss({ force, guard }: FailoverFacts): boolean {
  return overrules(force, 'replay') && guard !== undefined;
}

/** Whether the server can be queried before it is promoted. For a server that must be started first, its settings show it. */
function canBeAsked({ state, configuration, directory: { capabilities }, login, delay }: FailoverFacts) {
  if (delay?.kind === 'until-promotion') return false;
  if (state.kind === 'recovering') return state.answers;
  return login.kind !== 'refused' && isHotStandby(configuration, capabilities);
}

/** A server that cannot be queried keeps its delay, which ends when it is promoted. */
function dropDelay(facts: FailoverFacts, delay: ReplayDelay | undefined): readonly FailoverStep[] {
  return delay?.kind === 'setting' && canBeAsked(facts) ? [{ kind: 'drop-delay', delay }] : [];
}

/**
 * If the server cannot be queried, only the guard of restore_command keeps it closed until everything is replayed.
 *
 * @param before the steps before this one
 */
function seeReplayed(facts: FailoverFacts, before: readonly FailoverStep[]): readonly FailoverStep[] {
  const { archivedEnd: end, force } = facts;
  if (end?.lsn === undefined || overrules(force, 'replay') || !canBeAsked(facts)) return [];
  return [{ kind: 'see-archive-replayed', lsn: end.lsn, last: end.last.text, isFirst: before.length === 0 }];
}

/** Before anything may open the server: a later run finishes what this one decided. */
function recordRole({ kind }: Role): FailoverStep {
  return { kind: 'record-role', takesRole: kind === 'taken' };
}

/** Before anything may open the server, and after all that takes long. */
export function claimSteps(
  facts: LocalFacts & Pick<FailoverFacts, 'siblings' | 'force' | 'liveness' | 'fence' | 'askedMs'>,
  role: Role,
): readonly FailoverStep[] {
  const { siblings, force, liveness, fence } = facts;
  // One that lives is overruled, and the fence knows better.
  const askedMs = liveness.kind === 'alive' || fence.kind === 'done' ? undefined : facts.askedMs;
  const concernsOthers = siblings.list !== undefined;
  const asks = concernsOthers && (role.kind === 'taken' || !isPausedAtTarget(facts));
  return [
    recordRole(role),
    ...when(asks, { kind: 'see-no-rival', siblings, force, askedMs, asksSilent: true } as const),
  ];
}

function promoteSteps(facts: FailoverFacts): readonly FailoverStep[] {
  const isToReplayAll =
    facts.archive.kind === 'archive' && facts.replayProblems.length === 0 && !acceptsLoss(facts);
  const role = roleOf(facts, false);
  return [
    ...slotSteps(facts, role),
    ...claimSteps(facts, role),
    isToReplayAll ? { kind: 'guard-replay', end: facts.archivedEnd } : { kind: 'lift-guard' },
    { kind: 'promote' },
  ];
}

/** The other standbys stream from here as soon as they follow: until then their slots keep the WAL that they lack. */
function slotSteps(facts: FailoverFacts, role: Role): readonly FailoverStep[] {
  const names = slotsOf(facts.siblings);
  if (role.kind !== 'taken' || names.length === 0 || !canBeAsked(facts)) return [];
  return [{ kind: 'make-slots', names, conf: facts.failoverConf?.configuration }];
}

/**
 * A primary whose role was taken drops the slot when it becomes a standby. One that keeps its role keeps the slot, too,
 * although it does not answer now.
 */
function leaveSlots({ directory, liveness }: FailoverFacts, role: Role): readonly FailoverStep[] {
  const slots = directory.record.ownSlots ?? [];
  const isAsked = role.kind !== 'taken' || liveness.kind === 'alive';
  return when(slots.length > 0, { kind: 'leave-slots', slots, isAsked });
}

function replayChecks(facts: FailoverFacts, end: ArchivedEnd | undefined): readonly FailoverStep[] {
  return end === undefined ? [] : [{ kind: 'see-all-replayed', end, isAccepted: acceptsLoss(facts) }];
}

/** The archive may have received more since the server opened. */
function openedChecks(facts: FailoverFacts): readonly FailoverStep[] {
  return replayChecks(facts, facts.guard?.end);
}

/** The same check after the standby was started, before it is promoted. */
function proveLogin({ configuration, failoverConf, force }: FailoverFacts): FailoverStep {
  const failoverConfiguration = failoverConf?.configuration;
  return { kind: 'prove-login', configuration, failoverConfiguration, isAccepted: overrules(force, 'login') };
}

/** Without a restart, if no setting is too low: a server whose replay waits for higher settings would end at the promotion. */
function isPromotedAsItIs({ state, directory, lowLimits }: LocalFacts): boolean {
  return state.kind === 'recovering' && directory.capabilities.hasPgCtlPromote && lowLimits.length === 0;
}

/** Starts the standby with the values that pg_control demands. */
function startSteps({ configuration, lowLimits }: LocalFacts): readonly FailoverStep[] {
  if (lowLimits.length === 0) return [{ kind: 'start-server', configuration }];
  return [
    { kind: 'raise-settings', limits: lowLimits },
    { kind: 'start-server', configuration: raised(configuration, lowLimits) },
  ];
}

const opened: FailoverStep = { kind: 'see-it-open', target: undefined };

function promoteAsItIs(facts: FailoverFacts): readonly FailoverStep[] {
  const { isPaused, delay } = facts;
  const before: readonly FailoverStep[] = [
    ...when(isPaused, { kind: 'resume-replay' }),
    ...dropDelay(facts, delay),
  ];
  return [...before, ...seeReplayed(facts, before), ...promoteSteps(facts), opened];
}

/** Starts the server with other settings; it may be running. */
export function restartSteps(
  facts: LocalFacts,
  mode: 'standby' | 'recovery',
  settings: RecoverySettings,
): readonly FailoverStep[] {
  return [
    ...when(facts.state.kind !== 'stopped', { kind: 'stop-server' }),
    // A recovery to a target opens a server that feeds nobody: the slot would only fill its pg_wal.
    ...when(mode === 'recovery' && facts.hasKeptSlot, { kind: 'remove-slot' }),
    ...facts.standbyCopies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    { kind: 'write-settings', mode, settings },
    ...startSteps(facts),
  ];
}

function restartAndPromote(facts: FailoverFacts): readonly FailoverStep[] {
  const { capabilities } = facts.directory;
  if (!capabilities.hasPgCtlPromote) {
    const toEnd = recoverySettings(capabilities, { kind: 'to-end' }, facts.place);
    return [...claimSteps(facts, roleOf(facts, false)), ...restartSteps(facts, 'recovery', toEnd), opened];
  }
  const standby = recoverySettings(capabilities, { kind: 'standby', streaming: undefined }, facts.place);
  const start = restartSteps(facts, 'standby', standby);
  // These settings are without the INI file's delay. The user's own is in force.
  const delay = facts.delay?.kind === 'setting' ? facts.delay : undefined;
  const own = delay?.isOurs === true ? delay.hidden : delay;
  return [
    ...start,
    { kind: 'see-it-recover' },
    proveLogin(facts),
    ...dropDelay(facts, own),
    ...seeReplayed(facts, start),
    ...promoteSteps(facts),
    opened,
  ];
}

/** Starts a stopped standby first; promotes a running one without a restart. */
function openingSteps(facts: FailoverFacts): readonly FailoverStep[] {
  if (isPausedAtTarget(facts))
    return [...claimSteps(facts, roleOf(facts, true)), { kind: 'resume-replay' }, opened];
  // A recovery to a target would open at the target, no matter when it is promoted.
  const isAimed = facts.directory.record.settings?.mode === 'recovery';
  return isPromotedAsItIs(facts) && !isAimed ? promoteAsItIs(facts) : restartAndPromote(facts);
}

/**
 * A server that was opened, and ended before the failover was finished, is started without recovery settings, which
 * would make it recover again. It has its failover configuration from the start.
 */
function promotedSteps(facts: FailoverFacts): readonly FailoverStep[] {
  const { failoverConf: conf } = facts;
  const configuration = conf?.configuration ?? facts.configuration;
  const started = conf === undefined ? facts : { ...facts, failoverConf: { ...conf, mustRestart: false } };
  return [
    { kind: 'clear-settings' },
    { kind: 'start-promoted', conf, configuration },
    ...finish(started, roleOf(facts, false), openedChecks(facts)),
  ];
}

/** The checkpoint of a server that is open lies behind the promotion. */
function lastRestartpoint({ state, directory }: FailoverFacts): bigint | undefined {
  return state.kind === 'production' ? undefined : directory.control?.redoLsn;
}

/** Once no primary delivers to archivedir any more: without a slot, a checkpoint may remove it at any moment. */
function saveStreamed(facts: FailoverFacts): readonly FailoverStep[] {
  const redoLsn = lastRestartpoint(facts);
  return facts.hasKeptSlot || redoLsn === undefined ? [] : [{ kind: 'save-streamed', redoLsn }];
}

function finish(facts: FailoverFacts, role: Role, checks: readonly FailoverStep[]): readonly FailoverStep[] {
  return afterSteps(facts, role, { checks, save: saveStreamed(facts) });
}

/** Last, because it may take minutes: clients need not wait for it. */
function keepStreamed(facts: FailoverFacts): FailoverStep {
  return { kind: 'keep-streamed', redoLsn: lastRestartpoint(facts) };
}

/** The WAL that only other standbys have: it is here before the server is promoted. */
export function fetchSteps({ siblings, force }: FailoverFacts): readonly FailoverStep[] {
  const { list, comparison } = siblings;
  if (list?.kind !== 'known' || comparison.fetches.length === 0) return [];
  const isAccepted = overrules(force, 'sibling-ahead');
  return [{ kind: 'fetch-wal', archiver: list.archiver, fetches: comparison.fetches, isAccepted }];
}

/** The fence runs again in each run that has more to do than action_failover: an earlier one may be long ago. */
export function fenceStepsOf(facts: FailoverFacts): readonly FailoverStep[] {
  if (onlyActionRemains(facts)) return [];
  return fenceSteps(facts, roleOf(facts, isPausedAtTarget(facts)));
}

/** The action begins last, so all other steps were completed. */
function onlyActionRemains({ state, directory }: LocalFacts): boolean {
  return state.kind === 'production' && directory.record.isActionBegun === true;
}

/** The steps of a failover. Throws a refusal if an objection is not overruled. */
export function planFailover(facts: FailoverFacts): readonly FailoverStep[] {
  refuseOn(listFailoverObjections(facts), facts.force);
  return [...fenceStepsOf(facts), ...promotionSteps(facts), keepStreamed(facts)];
}

function promotionSteps(facts: FailoverFacts): readonly FailoverStep[] {
  const { state, directory } = facts;
  if (onlyActionRemains(facts))
    return [{ kind: 'verify-write' }, ...actionSteps(facts), ...leaveSlots(facts, roleOf(facts, false))];
  if (state.kind === 'production') return finish(facts, roleOf(facts, false), openedChecks(facts));
  if (state.kind === 'stopped' && hasUnfinishedFailover(directory)) return promotedSteps(facts);
  if (isPausedAtTarget(facts)) return [...openingSteps(facts), ...finish(facts, roleOf(facts, true), [])];
  return [
    ...fetchSteps(facts),
    ...openingSteps(facts),
    ...finish(facts, roleOf(facts, false), replayChecks(facts, facts.archivedEnd)),
  ];
}
