import { exitCodes, PitrError } from '../../../errors.ts';
import type { FailoverOptions, StandbyDeps } from '../../deps.ts';
import { describeLiveness } from '../../primary/liveness/verdict.ts';
import type { Phase } from '../../recovery/phases.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';
import { askAgain } from '../../siblings/observe.ts';
import { perform } from '../../steps/carry-out.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { type FailoverFacts, observeHere } from './facts.ts';
import { sayNotFenced, withFenced } from './fence.ts';
import { sayLogin } from './local-login.ts';
import { isPausedAtTarget, listFailoverObjections } from './objections.ts';
import { observeFailover, withComparison } from './observe.ts';
import { timed, timedLook, timedSteps } from './phases.ts';
import { fenceStepsOf, fetchSteps, planFailover } from './plan.ts';
import { reportFailover } from './report.ts';
import { roleOf } from './role.ts';
import { newRun } from './run.ts';
import { describeLoss, saySiblings } from './sibling-words.ts';
import { type FailoverStep, failoverSteps } from './steps.ts';

function unsentWords(unsent: number | undefined): string {
  return unsent === undefined || unsent === 0 ? '' : ` (${unsent} files waiting)`;
}

/** The operator must know this before the server opens. */
function sayLiveness(deps: StandbyDeps, { liveness, fence }: FailoverFacts): void {
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
        `${describeLiveness(liveness)}: this does not prove that it is down: ${fence.kind === 'due' ? 'action_fence is to make sure of it' : 'make sure that no client can write to it'}`,
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

/** A plan, and what this run has changed before it. */
interface Prepared {
  readonly facts: FailoverFacts;
  readonly steps: readonly FailoverStep[];
  /** Sentences. */
  readonly changes: readonly string[];
  readonly phases: Phase[];
}

/** The archive has more WAL than when the first plan was made. */
async function observeAgain(deps: StandbyDeps, { facts: before, phases }: Prepared): Promise<FailoverFacts> {
  const here = await timed(deps, phases, 'planning', () => observeHere(deps));
  const siblings = await withComparison(deps, here, before.siblings);
  // WAL that was fetched, and cannot be replayed all the same, is an objection of the archive.
  const comparison = { ...siblings.comparison, fetches: [] };
  return { ...before, ...here, siblings: { ...siblings, comparison } };
}

/** The primary may have shipped WAL until it was fenced. */
function observeAfterFence(deps: StandbyDeps, { facts: before, phases }: Prepared): Promise<FailoverFacts> {
  return timedLook(deps, phases, async (planning) => {
    const [here, others] = await Promise.all([
      planning(() => observeHere(deps)),
      askAgain(deps, before.siblings),
    ]);
    return { ...before, ...here, siblings: await withComparison(deps, here, others) };
  });
}

/** After a change, a refusal is none any more that changed nothing. */
async function afterChanges<T>(changes: readonly string[], use: () => T | Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    const isRefusal = error instanceof PitrError && error.exitCode === exitCodes.refused;
    if (changes.length === 0 || !isRefusal) throw error;
    throw new PitrError(error.message.replace(/; nothing was changed$/, ''), {
      detail: [error.detail, ...changes].filter(Boolean).join('\n'),
      hint: error.hint,
      cause: error,
    });
  }
}

/** Objections that only the facts of now show, and that the operator overrules. */
function sayNewlyOverruled(deps: StandbyDeps, before: FailoverFacts, now: FailoverFacts): void {
  const known = new Set(listFailoverObjections(before).map(({ message }) => message));
  const added = listFailoverObjections(now).filter(({ message }) => !known.has(message));
  sayOverruled(deps, added, now.force);
}

/** Fences the old primary, and plans again by what is here and elsewhere then. */
async function fenceAndPlan(
  deps: StandbyDeps,
  options: FailoverOptions,
  planned: Prepared,
): Promise<Prepared> {
  const { facts, phases } = planned;
  const fence = fenceStepsOf(facts);
  if (fence.length === 0) return planned;
  const run = newRun(deps, facts, phases);
  await perform(deps, options, fence, failoverSteps, run, timedSteps(deps, phases));
  const changes = run.isFenced === true ? ['The old primary was fenced.'] : [];
  return afterChanges(changes, async () => {
    const again = withFenced(await observeAfterFence(deps, planned), run);
    const steps = planFailover(again);
    sayNewlyOverruled(deps, facts, again);
    return { facts: again, steps, changes, phases };
  });
}

/** Brings the WAL that only other standbys have, and plans again by what is here then. */
async function fetchAndPlan(
  deps: StandbyDeps,
  options: FailoverOptions,
  before: Prepared,
): Promise<Prepared> {
  const { facts, phases } = before;
  if (facts.siblings.comparison.fetches.length === 0) return before;
  const run = newRun(deps, facts, phases);
  await perform(deps, options, fetchSteps(facts), failoverSteps, run, timedSteps(deps, phases));
  const changes = [...before.changes, 'The WAL that was fetched from other standbys stays in archivedir.'];
  return afterChanges(changes, async () => {
    const again = await observeAgain(deps, before);
    return { facts: again, steps: planFailover(again), changes, phases };
  });
}

/** `-F999`: turns the standby into a production server, unless the primary is alive. */
export async function failover(deps: StandbyDeps, options: FailoverOptions): Promise<number> {
  const phases: Phase[] = [];
  const first = await timedLook(deps, phases, (planning) =>
    observeFailover(deps, options, { here: () => planning(() => observeHere(deps)) }),
  );
  const planned: Prepared = { facts: first, steps: planFailover(first), changes: [], phases };
  sayOverruled(deps, listFailoverObjections(first), first.force);
  sayLiveness(deps, first);
  sayState(deps, first);
  saySiblings(deps, first.siblings);
  sayNotFenced(deps, first, isPausedAtTarget(first));
  if (options.dryRun) {
    for (const line of describeLoss(first.siblings)) deps.report(line);
    return promote(deps, options, planned);
  }
  const fenced = await fenceAndPlan(deps, options, planned);
  const prepared = await afterChanges(fenced.changes, () => fetchAndPlan(deps, options, fenced));
  return afterChanges(prepared.changes, () => promote(deps, options, prepared));
}

async function promote(
  deps: StandbyDeps,
  options: FailoverOptions,
  { facts, steps, phases }: Prepared,
): Promise<number> {
  const run = newRun(deps, facts, phases);
  if (!(await perform(deps, options, steps, failoverSteps, run, timedSteps(deps, phases)))) return 0;
  const role = roleOf(facts, isPausedAtTarget(facts));
  const isDoneBefore = role.kind === 'taken' && !steps.some(({ kind }) => kind === 'declare-left');
  return reportFailover(run, facts, isDoneBefore ? undefined : role);
}
