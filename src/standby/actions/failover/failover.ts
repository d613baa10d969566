import { PitrError } from '../../../errors.ts';
import type { FailoverOptions, StandbyDeps } from '../../deps.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { describeLiveness, type Liveness } from '../../primary/liveness/verdict.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import { compareSiblings, type Comparison } from '../../siblings/compare.ts';
import { askOthers, noComparison, type Others } from '../../siblings/observe.ts';
import { ownReach } from '../../siblings/own-reach.ts';
import { perform } from '../../steps/carry-out.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { type FailoverFacts, isOpened, type LocalFacts, observeHere } from './facts.ts';
import { sayLogin } from './local-login.ts';
import { isPausedAtTarget, listFailoverObjections } from './objections.ts';
import { fetchSteps, planFailover } from './plan.ts';
import { reportFailover } from './report.ts';
import { roleOf } from './role.ts';
import { newRun } from './run.ts';
import { describeLoss, saySiblings } from './sibling-words.ts';
import { type FailoverStep, failoverSteps } from './steps.ts';

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

/** A server that is open, or that opens at its target, needs no more WAL. */
async function compare(deps: StandbyDeps, here: LocalFacts, { siblings }: Others): Promise<Comparison> {
  const { directory, archive } = here;
  if (isOpened(here) || isPausedAtTarget(here) || archive.kind !== 'archive') return noComparison;
  return compareSiblings(siblings, await ownReach(deps, directory, archive.archive));
}

async function observe(
  deps: StandbyDeps,
  { force, takeRole: takesRole }: FailoverOptions,
): Promise<FailoverFacts> {
  const [liveness, here, others] = await Promise.all([
    probePrimary(deps),
    sayWherePrimaryIsHere(deps).then(() => observeHere(deps)),
    askOthers(deps),
  ]);
  const siblings = { ...others, comparison: await compare(deps, here, others) };
  return { ...here, liveness, siblings, force, takesRole };
}

/** The archive has more WAL than when the first plan was made. */
async function observeAgain(deps: StandbyDeps, before: FailoverFacts): Promise<FailoverFacts> {
  const here = await observeHere(deps);
  const comparison = await compare(deps, here, before.siblings);
  // WAL that was fetched, and cannot be replayed all the same, is an objection of the archive.
  return { ...before, ...here, siblings: { ...before.siblings, comparison: { ...comparison, fetches: [] } } };
}

/** A plan after WAL was fetched: a refusal is none any more that changed nothing. */
function planAgain(facts: FailoverFacts): readonly FailoverStep[] {
  try {
    return planFailover(facts);
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    throw new PitrError(error.message.replace(/; nothing was changed$/, ''), {
      detail: [error.detail, 'The WAL that was fetched from other standbys stays in archivedir.']
        .filter(Boolean)
        .join('\n'),
      hint: error.hint,
      cause: error,
    });
  }
}

/** Brings the WAL that only other standbys have, and plans again by what is here then. */
async function fetchAndPlan(
  deps: StandbyDeps,
  options: FailoverOptions,
  facts: FailoverFacts,
): Promise<readonly [FailoverFacts, readonly FailoverStep[]]> {
  await perform(deps, options, fetchSteps(facts), failoverSteps, newRun(deps, facts));
  const again = await observeAgain(deps, facts);
  return [again, planAgain(again)];
}

/** `-F999`: turns the standby into a production server, unless the primary is alive. */
export async function failover(deps: StandbyDeps, options: FailoverOptions): Promise<number> {
  let facts = await observe(deps, options);
  let steps = planFailover(facts);
  sayOverruled(deps, listFailoverObjections(facts), facts.force);
  sayLiveness(deps, facts.liveness);
  sayState(deps, facts);
  saySiblings(deps, facts.siblings);
  if (options.dryRun) for (const line of describeLoss(facts.siblings)) deps.report(line);
  else if (facts.siblings.comparison.fetches.length > 0)
    [facts, steps] = await fetchAndPlan(deps, options, facts);
  const run = newRun(deps, facts);
  if (!(await perform(deps, options, steps, failoverSteps, run))) return 0;
  const role = roleOf(facts, isPausedAtTarget(facts));
  const isDoneBefore = role.kind === 'taken' && !steps.some(({ kind }) => kind === 'declare-left');
  return reportFailover(run, facts, isDoneBefore ? undefined : role);
}
