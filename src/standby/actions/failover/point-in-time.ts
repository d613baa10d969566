import type { FailoverOptions, StandbyDeps } from '../../deps.ts';
import { changeRecord } from '../../host/backup-record/record.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { describeLiveness } from '../../primary/liveness/verdict.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { sayLeftPause } from '../../recovery/left-pause.ts';
import type { Phase } from '../../recovery/phases.ts';
import type { RequestedTarget } from '../../recovery/requested-target.ts';
import { askOthers, nobodyAsked } from '../../siblings/observe.ts';
import { perform } from '../../steps/carry-out.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { observeHere } from './facts.ts';
import { fenceOf } from './fence.ts';
import { timedLook, timedSteps } from './phases.ts';
import { dated, observeForTarget, type RecoveryFacts, targetKey } from './point-in-time/facts.ts';
import { planRecovery } from './point-in-time/plan.ts';
import { reportRecovery } from './point-in-time/report.ts';
import { type RecoveryRun, recoverySteps } from './point-in-time/steps.ts';
import { observeRivals } from './rivals.ts';
import { newRun } from './run.ts';
import { saySiblings } from './sibling-words.ts';

async function observeOwn(deps: StandbyDeps, asked: RequestedTarget) {
  const here = await observeHere(deps, true);
  const requested = dated(deps, here, asked);
  return { here, requested, forTarget: await observeForTarget(deps, here, requested) };
}

async function observe(
  deps: StandbyDeps,
  { force, takeRole }: FailoverOptions,
  asked: RequestedTarget,
  planning: <T>(look: () => Promise<T>) => Promise<T>,
): Promise<{ readonly facts: RecoveryFacts; readonly requested: RequestedTarget }> {
  await sayWherePrimaryIsHere(deps);
  const { here, requested, forTarget } = await planning(() => observeOwn(deps, asked));
  const tells = takeRole && requested.action === 'promote';
  const [liveness, others] = await Promise.all([probePrimary(deps), tells ? askOthers(deps) : nobodyAsked]);
  const siblings = { ...nobodyAsked, ...others, ...(tells ? await observeRivals(here, others) : {}) };
  const fence = fenceOf(deps, here.directory.record);
  const facts = { ...here, ...forTarget, liveness, siblings, force, takesRole: takeRole, fence };
  return { facts, requested };
}

/** `-F999` with a target: recovers to the target, and opens, pauses or shuts down there. */
export async function recoverTo(
  deps: StandbyDeps,
  options: FailoverOptions,
  asked: RequestedTarget,
): Promise<number> {
  const phases: Phase[] = [];
  const { facts, requested } = await timedLook(deps, phases, (planning) =>
    observe(deps, options, asked, planning),
  );
  // Before a refusal, too.
  if (facts.isPauseLeft) sayLeftPause(deps, facts.directory.record);
  const { shown, objections, steps } = planRecovery(facts, requested);
  sayOverruled(deps, objections, options.force);
  deps.report(`Recovery to ${shown}`);
  deps.log.notice(describeLiveness(facts.liveness));
  if (facts.liveness.kind === 'dead')
    for (const warning of facts.liveness.warnings) deps.log.warning(warning);
  saySiblings(deps, facts.siblings);
  const run: RecoveryRun = { ...newRun(deps, facts, phases), place: facts.place, shown };
  if (!(await perform(deps, options, steps, recoverySteps, run, timedSteps(deps, phases)))) return 0;
  if (requested.action !== 'promote')
    await changeRecord(facts.directory.pgdata, { recoveredTo: targetKey(requested) });
  return reportRecovery(run, facts, requested.action);
}
