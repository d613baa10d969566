import type { RecoveryTargetSettings } from '../../../../postgres/recovery-target.ts';
import { limitObjections, loginObjections, primaryObjections } from '../objections.ts';
import { afterSteps, startSteps } from '../plan.ts';
import { refuseOn, type Objection } from '../../../steps/objections.ts';
import { recoverySettings } from '../../../recovery/settings.ts';
import type { RecoveryFacts } from './facts.ts';
import { choosePath, endedXidObjections, walObjections } from './refusals.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import type { RecoveryStep } from './steps.ts';
import { chooseTarget, type Target } from '../../../recovery/target.ts';

export interface PlannedRecovery {
  readonly target: Target;
  /** With what is said of it: `just before …`. */
  readonly shown: string;
  readonly steps: readonly RecoveryStep[];
}

function endSteps(facts: RecoveryFacts, { action }: RequestedTarget, shown: string): readonly RecoveryStep[] {
  switch (action) {
    case 'promote':
      return [{ kind: 'see-it-open', target: shown }, ...afterSteps(facts)];
    case 'pause':
      return [{ kind: 'see-it-paused', target: shown }];
    case 'shutdown':
      return [{ kind: 'see-it-shut-down', target: shown }, { kind: 'hold' }];
  }
}

function recoverySteps(facts: RecoveryFacts, settings: RecoveryTargetSettings): readonly RecoveryStep[] {
  const { state, directory, place, standbyCopies } = facts;
  const stop: readonly RecoveryStep[] = state.kind === 'stopped' ? [] : [{ kind: 'stop-server' }];
  return [
    ...stop,
    ...standbyCopies.map((copy) => ({ kind: 'copy-conf', copy }) as const),
    {
      kind: 'write-settings',
      mode: 'recovery',
      settings: recoverySettings(directory.capabilities, { kind: 'to-target', target: settings }, place),
    },
    ...startSteps(facts),
  ];
}

/** All that stands against a recovery to a target. */
export function listRecoveryObjections(
  facts: RecoveryFacts,
  requested: RequestedTarget,
): readonly Objection[] {
  const target = chooseTarget(requested.goal, facts.bounds);
  // A server that does not open takes no write from anybody.
  const opens = requested.action === 'promote';
  return [
    ...(opens ? [...primaryObjections(facts), ...loginObjections(facts)] : []),
    ...limitObjections(facts),
    ...endedXidObjections(facts, target),
    ...walObjections(facts, choosePath(facts, requested.timeline), target),
  ];
}

export function planRecovery(facts: RecoveryFacts, requested: RequestedTarget): PlannedRecovery {
  refuseOn(listRecoveryObjections(facts, requested), facts.force);
  const target = chooseTarget(requested.goal, facts.bounds);
  const shown = requested.exclusive ? `just before ${target.shown}` : target.shown;
  const settings = { ...requested, goal: target.goal };
  return {
    target,
    shown,
    steps: [...recoverySteps(facts, settings), ...endSteps(facts, requested, shown)],
  };
}
