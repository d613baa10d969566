import type { ActionOptions, StandbyDeps } from '../../deps.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { describeLiveness, type Liveness } from '../../primary/liveness/verdict.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import { perform } from '../../steps/carry-out.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { type FailoverFacts, observeHere } from './facts.ts';
import { sayLogin } from './local-login.ts';
import { listFailoverObjections } from './objections.ts';
import { planFailover } from './plan.ts';
import { reportFailover } from './report.ts';
import { newRun } from './run.ts';
import { failoverSteps } from './steps.ts';

function unsentWords(unsent: number | undefined): string {
  return unsent === undefined || unsent === 0 ? '' : ` (${unsent} files waiting)`;
}

/** The operator must know this before the server opens. */
function sayLiveness(deps: StandbyDeps, liveness: Liveness): void {
  switch (liveness.kind) {
    case 'alive':
    case 'unasked':
      // This objection was overruled, and was reported then.
      return;
    case 'dead':
      deps.log.notice(describeLiveness(liveness));
      for (const warning of liveness.warnings) deps.log.warning(warning);
      // This is true even if no file is marked as ready: queues may hold WAL, and the last segment was never completed.
      deps.log.warning(
        `the old primary may hold WAL that was never shipped${unsentWords(liveness.unsent)}. Run "cmd_archiver --flush" there first; after the failover it is too late`,
      );
      return;
    case 'unreachable':
      deps.log.warning(
        `${describeLiveness(liveness)}: this does not prove that it is down: make sure that no client can write to it`,
      );
  }
}

function sayState(deps: StandbyDeps, facts: FailoverFacts): void {
  if (facts.directory.record.isActionBegun === true)
    deps.log.notice('an earlier run began action_failover and did not see it succeed: it will run again');
  else if (facts.state.kind === 'production')
    deps.log.notice('the server here is out of recovery already: only the steps after a promotion remain');
  if (facts.state.kind === 'stopped' && hasUnfinishedFailover(facts.directory)) {
    deps.log.notice(
      'the failover here was begun and not finished: the server must be started, and the steps after a promotion remain',
    );
    return;
  }
  if (facts.memory?.kind === 'unknown')
    deps.log.notice(`whether there is memory for the raised settings is not known: ${facts.memory.reason}`);
  if (facts.login.kind !== 'refused') sayLogin(deps, facts.login);
  if (facts.triggerFile !== undefined)
    deps.log.warning(`the trigger file "${facts.triggerFile}" is there: remove it before the next -S`);
}

async function observe(deps: StandbyDeps, { force }: ActionOptions): Promise<FailoverFacts> {
  const [liveness, here] = await Promise.all([
    probePrimary(deps),
    sayWherePrimaryIsHere(deps).then(() => observeHere(deps)),
  ]);
  return { ...here, liveness, force };
}

/** `-F999`: turns the standby into a production server, unless the primary is alive. */
export async function failover(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const facts = await observe(deps, options);
  const steps = planFailover(facts);
  sayOverruled(deps, listFailoverObjections(facts), facts.force);
  sayLiveness(deps, facts.liveness);
  sayState(deps, facts);
  const run = newRun(deps, facts);
  if (!(await perform(deps, options, steps, failoverSteps, run))) return 0;
  return reportFailover(run, facts.liveness);
}
