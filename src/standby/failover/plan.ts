import { refusal } from '../../errors.ts';
import { describeLiveness } from '../liveness.ts';
import { recoverySettings } from '../recovery-settings.ts';
import type { ArchivedEnd } from '../server/archive-check.ts';
import { refuseNoStandby } from '../start-standby.ts';
import { hasUnfinishedFailover } from '../unfinished-failover.ts';
import type { FailoverFacts, LocalFacts } from './facts.ts';
import { loginHint } from './local-login.ts';
import type { AfterStep, FailoverStep } from './steps.ts';

/**
 * What is done once the server is open.
 *
 * @param checks steps that must succeed before the server gets its failover configuration
 */
export function afterSteps(facts: LocalFacts, checks: readonly AfterStep[] = []): readonly FailoverStep[] {
  const { failoverConf, action, directory } = facts;
  const steps: FailoverStep[] = [];
  if (directory.capabilities.archivesFullLastSegmentAtPromotion)
    steps.push({ kind: 'set-aside-last-segment' });
  steps.push(
    { kind: 'verify-write' },
    { kind: 'record-opening' },
    { kind: 'mark-archive' },
    { kind: 'clear-settings' },
    ...checks,
  );
  if (failoverConf !== undefined)
    steps.push({ kind: 'use-failover-conf', conf: failoverConf }, { kind: 'verify-write' });
  steps.push({ kind: 'archive-history' }, { kind: 'check-archiving' }, { kind: 'record-promotion' });
  if (action !== undefined) steps.push({ kind: 'run-action', command: action });
  return steps;
}

export function refuseAlive({ liveness, force }: Pick<FailoverFacts, 'liveness' | 'force'>): void {
  if (liveness.kind !== 'alive' || force) return;
  throw refusal(`${describeLiveness(liveness)}; nothing was changed`, {
    hint: 'Stop the primary first. --force fails over all the same: then two servers take writes, and what the old one takes is lost.',
  });
}

/** WAL that cannot be read is WAL that a promotion would leave behind. */
export function refuseArchive({
  archive,
  replayProblems,
  force,
}: LocalFacts & { readonly force: boolean }): void {
  if (force) return;
  if (archive.kind === 'unusable') {
    throw refusal(`the archive cannot be read: ${archive.reason}; nothing was changed`, {
      hint: 'Mount or repair archivedir. --force fails over without it: what it holds and the standby has not replayed is lost.',
    });
  }
  const [first] = replayProblems;
  if (first === undefined) return;
  throw refusal(`not all WAL in the archive can be replayed: ${first}; nothing was changed`, {
    detail: replayProblems.join('; '),
    hint: 'Bring what is missing: the primary may still have it ("cmd_archiver --flush" there). --force fails over without the WAL from there on.',
  });
}

/** A promotion cannot be taken back: what comes after it must not end at a login that never worked. */
export function refuseLocalLogin({ login, force }: Pick<FailoverFacts, 'login' | 'force'>): void {
  if (login.kind !== 'refused' || force) return;
  throw refusal(`the server here does not let us in: ${login.reason}; nothing was changed`, {
    hint: `${loginHint} --force promotes all the same: then what comes after it fails.`,
  });
}

/** A recovery that waits at its target opens there: what the archive holds beyond was left out on purpose. */
function isPausedAtTarget({ state, isPaused, directory }: LocalFacts): boolean {
  return state.kind === 'recovering' && isPaused && directory.record.settings?.mode === 'recovery';
}

function refuseForgottenTarget({ state, directory, force }: FailoverFacts): void {
  const { capabilities, record } = directory;
  // Before 9.1 a failover itself is a recovery, and there is no pause.
  if (record.settings?.mode !== 'recovery' || force || !capabilities.hasPgCtlPromote) return;
  const hint = '--force goes on past the target, to the end of the WAL.';
  if (state.kind === 'stopped') {
    throw refusal(
      `a recovery to a target was under way in "${directory.pgdata}", and the server has been stopped since; nothing was changed`,
      { hint: `To that target again: -A start, or -F999 with the target. ${hint}` },
    );
  }
  throw refusal('the server here is on its way to a recovery target; nothing was changed', {
    hint: `Wait until it pauses there; then -F999 opens it. ${hint}`,
  });
}

/** --force, once an earlier run has told what kept the server from replaying all, goes on without it. */
function acceptsLoss({ force, guard }: FailoverFacts): boolean {
  return force && guard !== undefined;
}

function promoteSteps(facts: FailoverFacts): readonly FailoverStep[] {
  const isToReplayAll =
    facts.archive.kind === 'archive' && facts.replayProblems.length === 0 && !acceptsLoss(facts);
  return [
    isToReplayAll ? { kind: 'guard-replay', end: facts.archivedEnd } : { kind: 'lift-guard' },
    { kind: 'promote' },
  ];
}

function replayChecks(facts: FailoverFacts, end: ArchivedEnd | undefined): readonly AfterStep[] {
  return end === undefined ? [] : [{ kind: 'see-all-replayed', end, isAccepted: acceptsLoss(facts) }];
}

/** The archive may hold more since than it did when the server opened. */
function openedChecks(facts: FailoverFacts): readonly AfterStep[] {
  return replayChecks(facts, facts.guard?.end);
}

/** The same once it runs, before it is promoted. */
function proveLogin({ configuration, failoverConf, force }: FailoverFacts): FailoverStep {
  const failoverConfiguration = failoverConf?.configuration;
  return { kind: 'prove-login', configuration, failoverConfiguration, isAccepted: force };
}

/** A standby that does not run is started first; a running one is promoted as it is. */
function openingSteps(facts: FailoverFacts): readonly FailoverStep[] {
  if (isPausedAtTarget(facts)) return [{ kind: 'resume-replay' }, { kind: 'see-it-open', target: undefined }];
  const { state, directory, place, configuration, standbyCopies } = facts;
  const { capabilities } = directory;
  const promotes = capabilities.hasPgCtlPromote;
  const opened: FailoverStep = { kind: 'see-it-open', target: undefined };
  // A recovery to a target would open there, whenever it is promoted.
  if (state.kind === 'recovering' && promotes && directory.record.settings?.mode !== 'recovery') {
    const resume: readonly FailoverStep[] = facts.isPaused ? [{ kind: 'resume-replay' }] : [];
    return [...resume, ...promoteSteps(facts), opened];
  }
  const stop: readonly FailoverStep[] = state.kind === 'stopped' ? [] : [{ kind: 'stop-server' }];
  const mode = promotes
    ? ({ kind: 'standby', streaming: undefined } as const)
    : ({ kind: 'to-end' } as const);
  const start: readonly FailoverStep[] = [
    ...standbyCopies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    {
      kind: 'write-settings',
      mode: promotes ? 'standby' : 'recovery',
      settings: recoverySettings(capabilities, mode, place),
    },
    { kind: 'start-server', configuration },
  ];
  const promote: readonly FailoverStep[] = promotes
    ? [{ kind: 'see-it-recover' }, proveLogin(facts), ...promoteSteps(facts)]
    : [];
  return [...stop, ...start, ...promote, opened];
}

/** Whether what is here was a standby of ours whose failover has not been carried to its end. */
function isUnfinished({ directory, archive }: LocalFacts): boolean {
  if (directory.record.isFailoverUnfinished === true || directory.record.settings !== undefined) return true;
  const marked = archive.kind === 'archive' && archive.archive.sentinel.promotedAtTimeline !== undefined;
  return marked || directory.record.backup !== undefined;
}

/**
 * A server that was opened, and ended before the rest was done: it goes on as what it is. Nothing must tell it to recover
 * again, and it has its failover configuration from the start.
 */
function promotedSteps(facts: FailoverFacts): readonly FailoverStep[] {
  const { failoverConf: conf } = facts;
  const configuration = conf?.configuration ?? facts.configuration;
  const started = conf === undefined ? facts : { ...facts, failoverConf: { ...conf, mustRestart: false } };
  return [
    { kind: 'clear-settings' },
    { kind: 'start-promoted', conf, configuration },
    ...afterSteps(started, openedChecks(facts)),
  ];
}

function refuseProduction(facts: LocalFacts): void {
  const { directory } = facts;
  const { promotedAtTimeline: promoted } = directory.record;
  if (promoted !== undefined && !directory.record.isFailoverUnfinished) {
    throw refusal(
      `the server in "${directory.pgdata}" has been failed over already, at timeline ${promoted}`,
      {
        hint: 'It takes writes: there is nothing to do.',
      },
    );
  }
  if (isUnfinished(facts)) return;
  throw refusal(
    `the server in "${directory.pgdata}" is no standby: it is out of recovery and was not made by -B`,
  );
}

export function planFailover(facts: FailoverFacts): readonly FailoverStep[] {
  const { state, directory } = facts;
  refuseAlive(facts);
  if (state.kind === 'production') {
    refuseProduction(facts);
    return afterSteps(facts, openedChecks(facts));
  }
  if (state.kind === 'stopped' && hasUnfinishedFailover(directory)) return promotedSteps(facts);
  if (state.kind === 'starting' && directory.control?.state === 'shutting-down') {
    throw refusal('the server here is still stopping', {
      hint: 'Wait until it has ended; then run -F999 again.',
    });
  }
  if (state.kind === 'starting') {
    throw refusal('the server here is still starting: it neither recovers nor serves yet', {
      detail: state.progress,
      hint: 'Wait until it is seen recovering, or stop it with -A stop; then run -F999 again.',
    });
  }
  refuseLocalLogin(facts);
  if (isPausedAtTarget(facts)) return [...openingSteps(facts), ...afterSteps(facts)];
  refuseArchive(facts);
  refuseForgottenTarget(facts);
  if (state.kind === 'stopped') refuseNoStandby(directory);
  return [...openingSteps(facts), ...afterSteps(facts, replayChecks(facts, facts.archivedEnd))];
}
