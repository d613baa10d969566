import { exitCodes } from '../../../errors.ts';
import type { ActionOptions, StandbyDeps } from '../../deps.ts';
import { beginningOf } from './all-replayed.ts';
import { observeHere, type FailoverFacts } from './facts.ts';
import { listFailoverObjections } from './objections.ts';
import { describeOutcome } from './outcome.ts';
import { planFailover } from './plan.ts';
import { sayLogin } from './local-login.ts';
import { newRun, type FailoverRun } from './run.ts';
import { failoverHandler } from './run-steps.ts';
import type { FailoverStep } from './steps.ts';
import { probePrimary } from '../../primary/liveness/liveness.ts';
import { describeLiveness, type Liveness } from '../../primary/liveness/verdict.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { carryOut, printPlan } from '../../steps/carry-out.ts';
import { sayWherePrimaryIsHere } from '../../primary/primary-is-here.ts';
import { serverOf } from '../../server/server.ts';
import { hasUnfinishedFailover } from '../../recovery/unfinished-failover.ts';

function unsentWords(unsent: number | undefined): string {
  return unsent === undefined || unsent === 0 ? '' : ` (${unsent} files wait to be archived)`;
}

/** What the operator must know before the server opens. */
function sayLiveness(deps: StandbyDeps, liveness: Liveness): void {
  switch (liveness.kind) {
    case 'alive':
    case 'unasked':
      // An objection that was overruled, and said as such.
      return;
    case 'dead':
      deps.log.notice(describeLiveness(liveness));
      for (const warning of liveness.warnings) deps.log.warning(warning);
      // Even with nothing marked as ready: queues may hold WAL, and the last segment was never finished.
      deps.log.warning(
        `WAL that never left may remain there${unsentWords(liveness.unsent)}: "cmd_archiver --flush" on that host sends it, and must come before a failover to count`,
      );
      return;
    case 'unreachable':
      deps.log.warning(
        `${describeLiveness(liveness)}: it was not seen dead; make sure that nobody writes to it`,
      );
  }
}

function sayState(deps: StandbyDeps, facts: FailoverFacts): void {
  if (facts.directory.record.isActionBegun === true)
    deps.log.notice('action_failover was begun by an earlier run, and not seen to succeed: it is owed still');
  else if (facts.state.kind === 'production')
    deps.log.notice('the server here is out of recovery already: only what comes after a promotion is done');
  if (facts.state.kind === 'stopped' && hasUnfinishedFailover(facts.directory)) {
    deps.log.notice(
      'the failover here was begun and not finished: the server is started, and the rest is done',
    );
    return;
  }
  if (facts.memory?.kind === 'unknown')
    deps.log.notice(`whether there is memory for the raised settings is not known: ${facts.memory.reason}`);
  if (facts.login.kind !== 'refused') sayLogin(deps, facts.login);
  if (facts.triggerFile !== undefined)
    deps.log.warning(`the trigger file "${facts.triggerFile}" is there: remove it before the next -S`);
}

/** The last lines, and the exit code, of a failover that has happened. */
export function reportFailover(deps: StandbyDeps, run: FailoverRun): number {
  deps.log.notice('Statistics are not replicated in warm standy mode.');
  deps.report('HINT: Execute ANALYZE on your databases');
  deps.report('Failover finished');
  if (run.actionFailure === undefined) return 0;
  deps.log.error(`the failover has happened, but action_failover failed: ${run.actionFailure}`, {
    hint: 'When its trouble is mended, run -F999 again: it runs the script alone, with PITRTOOLS_REPEATED=yes.',
  });
  return exitCodes.actionFailed;
}

/** Says what this server is now, what may be missing, and what is to be done next. */
export async function sayOutcome(
  deps: StandbyDeps,
  { directory, liveness }: Pick<FailoverFacts, 'directory' | 'liveness'>,
  { timeline, replayed, archiveEnd, archiving }: FailoverRun,
): Promise<void> {
  const openedAt = timeline === undefined ? undefined : await beginningOf(directory, timeline);
  const { hostName } = deps;
  const lines = describeOutcome({
    timeline,
    openedAt,
    replayed,
    archiveEnd,
    liveness,
    archiving,
    hostName,
  });
  for (const line of lines) deps.report(line);
}

async function carryOutFailover(
  deps: StandbyDeps,
  facts: FailoverFacts,
  steps: readonly FailoverStep[],
  options: ActionOptions,
): Promise<number> {
  const run = newRun();
  if (facts.isAllReplayed) run.archiveEnd = { kind: 'reached-before' };
  const handler = failoverHandler(serverOf(deps, facts.directory.capabilities), run);
  if (options.dryRun) {
    printPlan(deps, steps, handler);
    return 0;
  }
  await carryOut(deps, steps, handler);
  await sayOutcome(deps, facts, run);
  return reportFailover(deps, run);
}

/** `-F999`: turns the standby into a production server, unless the primary is alive. */
export async function failover(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  const [liveness, here] = await Promise.all([
    probePrimary(deps),
    sayWherePrimaryIsHere(deps).then(() => observeHere(deps)),
  ]);
  const facts: FailoverFacts = { ...here, liveness, force: options.force };
  const steps = planFailover(facts);
  sayOverruled(deps, listFailoverObjections(facts), options.force);
  sayLiveness(deps, liveness);
  sayState(deps, facts);
  return carryOutFailover(deps, facts, steps, options);
}
