import type { FailoverOptions, StandbyDeps } from '../../deps.ts';
import { sayTraceOfStop } from '../../hand-over/half-stopped.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import type { Liveness } from '../../primary/liveness/verdict.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { compareSiblings, type Comparison } from '../../siblings/compare.ts';
import { askOthers, noComparison, type Others, type SiblingFacts } from '../../siblings/observe.ts';
import { ownReach } from '../../siblings/own-reach.ts';
import { type FailoverFacts, isOpened, type LocalFacts, observeHere } from './facts.ts';
import { fenceOf } from './fence.ts';
import { isPausedAtTarget } from './objections.ts';
import { observeRivals } from './rivals.ts';

/** A server that is open, or that opens at its target, needs no more WAL. */
async function compare(deps: StandbyDeps, here: LocalFacts, { siblings }: Others): Promise<Comparison> {
  const { directory, archive } = here;
  if (isOpened(here) || isPausedAtTarget(here) || archive.kind !== 'archive') return noComparison;
  return compareSiblings(siblings, await ownReach(deps, directory, archive.archive));
}

export async function withComparison(
  deps: StandbyDeps,
  here: LocalFacts,
  others: Others,
): Promise<SiblingFacts> {
  return { ...others, comparison: await compare(deps, here, others), ...(await observeRivals(here, others)) };
}

/** The parts of the look that a caller does in its own way. */
interface Looks {
  readonly primary: () => Promise<Liveness>;
  readonly here: () => Promise<LocalFacts>;
  readonly others: () => Promise<Others>;
}

function usualLooks(deps: StandbyDeps): Looks {
  return {
    primary: () => probePrimary(deps),
    here: () => observeHere(deps),
    others: () => askOthers(deps),
  };
}

/** All that a failover is planned by. Changes nothing. */
export async function observeFailover(
  deps: StandbyDeps,
  { force, takeRole: takesRole }: Pick<FailoverOptions, 'force' | 'takeRole'>,
  changed: Partial<Looks> = {},
): Promise<FailoverFacts> {
  const looks = { ...usualLooks(deps), ...changed };
  const [[liveness, askedMs], here, others] = await Promise.all([
    looks.primary().then((found) => [found, deps.monotonicMs()] as const),
    sayWherePrimaryIsHere(deps).then(looks.here),
    looks.others(),
  ]);
  await sayTraceOfStop(deps, here.directory);
  const siblings = await withComparison(deps, here, others);
  const fence = fenceOf(deps, here.directory.record);
  return { ...here, liveness, askedMs, siblings, force, takesRole, fence };
}
