/** Which phase each step of a failover belongs to, and its time. */
import type { StandbyDeps } from '../../deps.ts';
import { addTo, type Phase, type RehearsedPhase } from '../../recovery/phases.ts';
import type { RecoveryStep } from './point-in-time/steps.ts';

/** Beside those of a drill: the phases of what concerns other hosts, the site, or WAL that a copy has for itself alone. */
type PhaseName =
  | RehearsedPhase
  /** The questions to other hosts, as far as they take longer than the planning. */
  | 'probe'
  | 'fence'
  | 'fetch'
  | 'slots'
  | 'siblings'
  | 'configuration'
  | 'action'
  | 'saving'
  /** A recovery that ends in another way than by a promotion. */
  | 'target';

/** A step that is not here does not compile. */
const phases: Readonly<Record<RecoveryStep['kind'], PhaseName>> = {
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
  'see-all-replayed': 'completion',
  'archive-history': 'completion',
  'record-promotion': 'completion',
  'start-promoted': 'completion',
  fence: 'fence',
  'fetch-wal': 'fetch',
  'see-no-rival': 'probe',
  'make-slots': 'slots',
  'remove-slot': 'slots',
  'leave-slots': 'slots',
  'declare-left': 'siblings',
  'inform-siblings': 'siblings',
  'use-failover-conf': 'configuration',
  'check-archiving': 'configuration',
  'run-action': 'action',
  'save-streamed': 'saving',
  'keep-streamed': 'saving',
  'pause-replay': 'target',
  'see-it-before': 'target',
  'see-it-paused': 'target',
  'see-it-shut-down': 'target',
  hold: 'target',
};

export function phaseOf({ kind }: Pick<RecoveryStep, 'kind'>): PhaseName {
  return phases[kind];
}

type Clock = Pick<StandbyDeps, 'monotonicMs'>;

/** Adds the time to the phase, also of what fails. */
export async function timed<T>(
  { monotonicMs }: Clock,
  into: Phase[],
  name: string,
  use: () => Promise<T>,
): Promise<T> {
  const beganMs = monotonicMs();
  try {
    return await use();
  } finally {
    addTo(into, name, (monotonicMs() - beganMs) / 1000);
  }
}

/**
 * A look at this host, and questions to others at the same time or after it.
 *
 * @param use gets a function that times the look at this host
 */
export async function timedLook<T>(
  deps: Clock,
  into: Phase[],
  use: (planning: <L>(look: () => Promise<L>) => Promise<L>) => Promise<T>,
): Promise<T> {
  const own: Phase[] = [];
  const all: Phase[] = [];
  try {
    return await timed(deps, all, 'all', () => use((look) => timed(deps, own, 'planning', look)));
  } finally {
    const planning = own[0]?.seconds ?? 0;
    addTo(into, 'planning', planning);
    addTo(into, 'probe', Math.max(0, (all[0]?.seconds ?? 0) - planning));
  }
}

/** For the steps of a plan: adds the time of each to its phase. */
export function timedSteps(deps: Clock, into: Phase[]) {
  return (step: Pick<RecoveryStep, 'kind'>, run: () => Promise<void>): Promise<void> =>
    timed(deps, into, phaseOf(step), run);
}
