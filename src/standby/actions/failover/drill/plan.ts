/** The plan of -F999 for a drill's copy: what it would do to the copy itself. Pure. */
import type { RequestedTarget } from '../../../recovery/requested-target.ts';
import { nobodyAsked } from '../../../siblings/observe.ts';
import { noForce } from '../../../steps/force.ts';
import type { FailoverFacts, LocalFacts } from '../facts.ts';
import { planFailover } from '../plan.ts';
import type { RecoveryFacts } from '../point-in-time/facts.ts';
import { planRecovery } from '../point-in-time/plan.ts';
import type { RecoveryStep } from '../point-in-time/steps.ts';

/** The parts of a failover whose times are reported. */
export type PhaseName = 'start' | 'replay' | 'promotion' | 'completion';

/**
 * The phase of each step, or `undefined` for one that a drill leaves out, because it concerns other hosts, the site, or WAL
 * that the copy has for itself alone. A step that is not here does not compile.
 */
const phases: Readonly<Record<RecoveryStep['kind'], PhaseName | undefined>> = {
  'stop-server': 'start',
  'copy-conf': 'start',
  'write-settings': 'start',
  'raise-settings': 'start',
  'start-server': 'start',
  'see-it-recover': 'start',
  'prove-login': 'start',
  'see-archive-replayed': 'replay',
  'resume-replay': 'replay',
  'drop-delay': 'replay',
  'record-role': 'promotion',
  'guard-replay': 'promotion',
  'lift-guard': 'promotion',
  promote: 'promotion',
  'see-it-open': 'promotion',
  'set-aside-last-segment': 'completion',
  'verify-write': 'completion',
  'record-opening': 'completion',
  'mark-archive': 'completion',
  'clear-settings': 'completion',
  'restore-delay': 'completion',
  'see-all-replayed': 'completion',
  'archive-history': 'completion',
  'record-promotion': 'completion',
  'start-promoted': 'completion',
  fence: undefined,
  'fetch-wal': undefined,
  'see-no-rival': undefined,
  'make-slots': undefined,
  'remove-slot': undefined,
  'leave-slots': undefined,
  'declare-left': undefined,
  'inform-siblings': undefined,
  'use-failover-conf': undefined,
  'check-archiving': undefined,
  'run-action': undefined,
  'save-streamed': undefined,
  'keep-streamed': undefined,
  'pause-replay': undefined,
  'see-it-before': undefined,
  'see-it-paused': undefined,
  'see-it-shut-down': undefined,
  hold: undefined,
};

export function phaseOf({ kind }: Pick<RecoveryStep, 'kind'>): PhaseName | undefined {
  return phases[kind];
}

/** As if the primary had been found dead, and no other standby existed. */
export function rehearsed(here: LocalFacts): FailoverFacts {
  return {
    ...here,
    liveness: { kind: 'dead', unsent: undefined, warnings: [] },
    siblings: nobodyAsked,
    force: noForce,
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
  return { steps: planFailover(facts).filter((step) => phaseOf(step) !== undefined), shown: undefined };
}

export function planTargetRehearsal(facts: RecoveryFacts, requested: RequestedTarget): Rehearsal {
  const { steps, shown } = planRecovery(facts, requested);
  return { steps: steps.filter((step) => phaseOf(step) !== undefined), shown };
}
