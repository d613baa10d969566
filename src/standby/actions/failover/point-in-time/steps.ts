import { describeStep, type FailoverStep } from '../steps.ts';
import type { RecoverySettings } from '../../../recovery/settings.ts';

/** What a failover does not know. */
export type EndStep =
  | { readonly kind: 'see-it-paused'; readonly target: string }
  | { readonly kind: 'see-it-shut-down'; readonly target: string }
  /** Keeps everybody but us from starting what a recovery has left. */
  | { readonly kind: 'hold'; readonly settings: RecoverySettings };

export type RecoveryStep = FailoverStep | EndStep;

export function isEndStep(step: RecoveryStep): step is EndStep {
  return step.kind === 'see-it-paused' || step.kind === 'see-it-shut-down' || step.kind === 'hold';
}

function describeEndStep(step: EndStep): string {
  switch (step.kind) {
    case 'see-it-paused':
      return `wait until it has recovered to ${step.target} and pauses there`;
    case 'see-it-shut-down':
      return `wait until it has recovered to ${step.target} and has shut down there`;
    case 'hold':
      return 'keep the server from being started by anything but cmd_standby';
  }
}

export function describeRecoveryStep(step: RecoveryStep): string {
  return isEndStep(step) ? describeEndStep(step) : describeStep(step);
}
