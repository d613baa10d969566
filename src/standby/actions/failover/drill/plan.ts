/** The plan of -F999 for a drill's copy: what it would do to the copy itself. Pure. */
import { isRehearsed } from '../../../recovery/phases.ts';
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import { nobodyAsked } from '../../../siblings/observe.ts';
import type { Answered } from '../../../steps/force.ts';
import type { FailoverFacts, LocalFacts } from '../facts.ts';
import { phaseOf } from '../phases.ts';
import { planFailover } from '../plan.ts';
import type { RecoveryFacts } from '../point-in-time/facts.ts';
import { planRecovery } from '../point-in-time/plan.ts';
import type { RecoveryStep } from '../point-in-time/steps.ts';

/** Nobody needs a copy that would have to be forced: what the drill refuses is its result. */
const notAsked: Answered = { kind: 'answered', by: '--drill', names: [] };

/** A step that concerns other hosts, the site, or WAL that the copy has for itself alone is left out. */
function isInDrill(step: RecoveryStep): boolean {
  return isRehearsed(phaseOf(step));
}

/** As if the primary had been found dead, and no other standby existed. */
export function rehearsed(here: LocalFacts): FailoverFacts {
  return {
    ...here,
    liveness: { kind: 'dead', unsent: undefined, warnings: [] },
    siblings: nobodyAsked,
    force: notAsked,
    takesRole: false,
    fence: { kind: 'none' },
  };
}

interface Rehearsal {
  readonly steps: readonly RecoveryStep[];
  /** The target, for messages; undefined if all WAL is replayed. */
  readonly shown: string | undefined;
}

/** Throws a refusal if -F999 would refuse. */
export function planRehearsal(facts: FailoverFacts): Rehearsal {
  return { steps: planFailover(facts).filter(isInDrill), shown: undefined };
}

export function planTargetRehearsal(facts: RecoveryFacts, requested: RequestedTarget): Rehearsal {
  const { steps, shown } = planRecovery(facts, requested);
  return { steps: steps.filter(isInDrill), shown };
}
