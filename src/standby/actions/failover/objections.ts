import { livenessObjections } from '../../primary/liveness/verdict.ts';
import { noStandbyObjections } from '../../recovery/no-standby.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import { describeLowLimit, limitHint } from '../../server/limits.ts';
import { type Objection, when } from '../../steps/objections.ts';
import type { FailoverFacts, LocalFacts } from './facts.ts';
import { loginHint } from './local-login.ts';
import { rivalObjections } from './rivals.ts';
import { siblingObjections } from './sibling-words.ts';
import { switchoverObjections } from './switchover-elsewhere.ts';

/** A promotion cannot be undone, so the steps after it must not fail because of a login that never worked. */
export function loginObjections({ login }: Pick<LocalFacts, 'login'>): readonly Objection[] {
  if (login.kind !== 'refused') return [];
  return [
    {
      name: 'login',
      message: `the server on this host rejects our login: ${login.reason}`,
      hint: loginHint,
      cost: 'the steps after the promotion then fail',
    },
  ];
}

/** WAL that cannot be read would be lost by a promotion. */
function archiveObjections({ archive, replayProblems, siblings }: FailoverFacts): readonly Objection[] {
  if (archive.kind === 'unusable') {
    return [
      {
        name: 'archive',
        message: `the archive cannot be read: ${archive.reason}`,
        hint: 'Mount or repair archivedir.',
        cost: 'WAL in it that the standby has not replayed is lost',
      },
    ];
  }
  // WAL that is fetched may fill the gaps: the archive is judged again after that.
  return when(replayProblems.length > 0 && siblings.comparison.fetches.length === 0, {
    name: 'replay',
    message: `not all WAL in the archive can be replayed: ${replayProblems.join('; ')}`,
    hint: 'Get the missing WAL: the primary may still have it (run "cmd_archiver --flush" there).',
    cost: 'the WAL after that place is not replayed',
  });
}

/** If a hot standby's settings are too low, a restart raises them, unless that is not possible. */
export function limitObjections({
  lowLimits,
  memory,
  hasOwnStart,
  configuration,
}: LocalFacts): readonly Objection[] {
  if (lowLimits.length === 0) return [];
  const what = lowLimits.map(describeLowLimit).join('; ');
  const hint = limitHint(lowLimits, configuration);
  if (hasOwnStart)
    return [{ message: `${what}: start_command cannot start the server with other settings`, hint }];
  if (memory?.kind !== 'too-little') return [];
  return [{ message: `${what}, and these settings cannot be raised: ${memory.reason}`, hint }];
}

/** A recovery that is paused at its target opens there: the WAL beyond was left out on purpose. */
export function isPausedAtTarget({ state, isPaused, directory }: LocalFacts): boolean {
  return state.kind === 'recovering' && isPaused && directory.record.settings?.mode === 'recovery';
}

/** A recovery target that was requested must not be forgotten. */
function targetObjections({ state, directory }: FailoverFacts): readonly Objection[] {
  const { capabilities, record, pgdata } = directory;
  // Before 9.1 a failover itself is a recovery, and a server cannot pause.
  if (record.settings?.mode !== 'recovery' || !capabilities.hasPgCtlPromote) return [];
  const named = {
    name: 'target',
    cost: 'the server replays past the target, to the end of the WAL',
  } as const;
  if (state.kind === 'stopped')
    return [
      {
        ...named,
        message: `a recovery to a target in "${pgdata}" is not finished, and its server is stopped`,
        hint: 'To continue to that target, run -A start, or -F999 with the target.',
      },
    ];
  return [
    {
      ...named,
      message: 'the server here is recovering to a target that it has not reached yet',
      hint: 'Wait until it pauses there; then -F999 opens it.',
    },
  ];
}

/** Whether this server was our standby, and its failover was not completed. */
function isUnfinished({ directory, archive }: LocalFacts): boolean {
  const { isFailoverUnfinished, isActionBegun, settings } = directory.record;
  if (isFailoverUnfinished === true || isActionBegun === true || settings !== undefined) return true;
  const marked = archive.kind === 'archive' && archive.archive.sentinel.promotedAtTimeline !== undefined;
  return marked || directory.record.backup !== undefined;
}

function productionObjections(facts: LocalFacts): readonly Objection[] {
  const { pgdata, record } = facts.directory;
  const { promotedAtTimeline: promoted } = record;
  if (promoted !== undefined && !record.isFailoverUnfinished && !record.isActionBegun) {
    return [
      {
        message: `the server in "${pgdata}" was failed over already, to timeline ${promoted}`,
        hint: 'It accepts writes, so there is nothing to do.',
      },
    ];
  }
  return when(!isUnfinished(facts), {
    message: `the server in "${pgdata}" is not a standby: it is out of recovery and was not made by -B`,
  });
}

function startingObjections({ directory }: LocalFacts, progress: string): readonly Objection[] {
  if (directory.control?.state === 'shutting-down')
    return [
      {
        message: 'the server here is still stopping',
        hint: 'Wait until it has ended; then run this again.',
      },
    ];
  return [
    {
      message: `the server here is still starting: it does not recover or accept connections yet (${progress})`,
      hint: 'Wait until it recovers, or stop it with -A stop. Then run this again.',
    },
  ];
}

/** A server that is opened at a target only to look at it disturbs nobody. */
export function roleObjections({
  takesRole,
  liveness,
  siblings,
}: Pick<FailoverFacts, 'takesRole' | 'liveness' | 'siblings'>): readonly Objection[] {
  return when(takesRole, ...rivalObjections(siblings), ...switchoverObjections({ liveness, siblings }));
}

/** A failover that was not finished must not continue, and send clients here, after another one has succeeded. */
function openedObjections(facts: FailoverFacts): readonly Objection[] {
  return when(
    facts.directory.record.takesRole !== false || facts.takesRole,
    ...rivalObjections(facts.siblings),
  );
}

/** All objections to the promotion of this standby. */
function standbyObjections(facts: FailoverFacts): readonly Objection[] {
  if (isPausedAtTarget(facts)) return [...loginObjections(facts), ...roleObjections(facts)];
  return [
    ...loginObjections(facts),
    ...limitObjections(facts),
    ...archiveObjections(facts),
    ...siblingObjections(facts.siblings),
    ...rivalObjections(facts.siblings),
    ...switchoverObjections(facts),
    ...targetObjections(facts),
    ...when(facts.state.kind === 'stopped', ...noStandbyObjections(facts.directory)),
  ];
}

function hereObjections(facts: FailoverFacts): readonly Objection[] {
  const { state, directory } = facts;
  switch (state.kind) {
    case 'production':
      return [...productionObjections(facts), ...openedObjections(facts)];
    case 'starting':
      return startingObjections(facts, state.progress);
    case 'stopped':
      return hasUnfinishedFailover(directory) ? openedObjections(facts) : standbyObjections(facts);
    case 'recovering':
      return standbyObjections(facts);
  }
}

/** All objections to a failover. */
export function listFailoverObjections(facts: FailoverFacts): readonly Objection[] {
  return [...livenessObjections(facts.liveness), ...hereObjections(facts)];
}
