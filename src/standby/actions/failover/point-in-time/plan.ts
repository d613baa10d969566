import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import { recoverySettings } from '../../../recovery/settings.ts';
import { chooseTarget } from '../../../recovery/target.ts';
import { attempt, type Objection, refuseOn, when } from '../../../steps/objections.ts';
import { fenceSteps } from '../fence.ts';
import { afterSteps, claimSteps, restartSteps } from '../plan.ts';
import { roleOf } from '../role.ts';
import type { RecoveryFacts } from './facts.ts';
import { listRecoveryObjections } from './objections.ts';
import type { RecoveryStep } from './steps.ts';

export interface PlannedRecovery {
  /** The target with its addition for messages: `just before …`. */
  readonly shown: string;
  /** The objections that are overruled. */
  readonly objections: readonly Objection[];
  readonly steps: readonly RecoveryStep[];
}

function endSteps(facts: RecoveryFacts, { action }: RequestedTarget, shown: string): readonly RecoveryStep[] {
  switch (action) {
    case 'promote':
      return [{ kind: 'see-it-open', target: shown }, ...afterSteps(facts, roleOf(facts, true))];
    case 'pause':
      return [{ kind: 'see-it-paused', target: shown }];
    case 'shutdown':
      return [{ kind: 'see-it-shut-down', target: shown }, { kind: 'hold' }];
  }
}

/**
 * A running standby may come to the target at any moment. One that recovers to a target stands at it, or is beyond. A
 * pause that an earlier run has left ends with this one.
 */
function pauseSteps(facts: RecoveryFacts, requested: RequestedTarget): readonly RecoveryStep[] {
  const { state, isPaused, isPauseLeft, directory, bounds } = facts;
  if (state.kind !== 'recovering' || !state.answers) return [];
  if (directory.record.settings?.mode === 'recovery') return [];
  const isOurs = !isPaused || isPauseLeft;
  return [...when(isOurs, { kind: 'pause-replay' }), { kind: 'see-it-before', requested, bounds }];
}

function roleSteps(facts: RecoveryFacts): readonly RecoveryStep[] {
  const role = roleOf(facts, true);
  return [...fenceSteps(facts, role), ...claimSteps(facts, role)];
}

export function planRecovery(facts: RecoveryFacts, requested: RequestedTarget): PlannedRecovery {
  const target = attempt(() => chooseTarget(requested.goal, facts.bounds, requested.exclusive));
  const objections = listRecoveryObjections(facts, requested, target);
  refuseOn(objections, facts.force);
  const { goal, shown: name } = target.value();
  const mode = { kind: 'to-target', target: { ...requested, goal } } as const;
  const settings = recoverySettings(facts.directory.capabilities, mode, facts.place);
  const shown = requested.exclusive ? `just before ${name}` : name;
  return {
    shown,
    objections,
    steps: [
      // A server that pauses or shuts down at its target is not opened yet.
      ...(requested.action === 'promote' ? roleSteps(facts) : []),
      ...pauseSteps(facts, requested),
      ...restartSteps(facts, 'recovery', settings),
      ...endSteps(facts, requested, shown),
    ],
  };
}
