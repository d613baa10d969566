import { exitCodes, messageOf, PitrError } from '../../errors.ts';
import type { StandbyDeps } from '../deps.ts';
import { type Around, bindSteps, type BoundStep, type StepTable } from './step-table.ts';

export function printPlan(deps: Pick<StandbyDeps, 'report'>, steps: readonly BoundStep[]): void {
  if (steps.length === 0) deps.report('Nothing to do.');
  steps.forEach((step, index) => {
    deps.report(`${index + 1}. ${step.say()}`);
  });
  deps.report('Dry run: nothing was changed.');
}

/** Returns whether everything could be undone. */
async function undoAll(deps: Pick<StandbyDeps, 'log'>, begun: readonly BoundStep[]): Promise<boolean> {
  let isUndone = true;
  for (const step of [...begun].reverse()) {
    try {
      await step.undo();
    } catch (error) {
      // The operator must see the first failure. Steps that could not be undone are reported beside it.
      deps.log.error(`could not undo "${step.say()}": ${messageOf(error)}`);
      isUndone = false;
    }
  }
  return isUndone;
}

/**
 * A refusal (exit 4) means that nothing was changed. Only steps change anything, so this is the one place where that is
 * known: a step that refuses has changed nothing itself, but the steps before it may have.
 */
function afterChanges(error: unknown, isChanged: boolean): unknown {
  if (!isChanged || !(error instanceof PitrError) || error.exitCode !== exitCodes.refused) return error;
  const { message, detail, hint, cause } = error;
  return new PitrError(message.replace(/; nothing was changed$/, ''), {
    detail: [detail, 'Some changes of the earlier steps remain.'].filter(Boolean).join('\n'),
    hint,
    cause,
    exitCode: exitCodes.failure,
  });
}

/**
 * Carries out the steps in order. After a failure, or a signal between two steps, it undoes the begun ones and throws
 * the error.
 */
export async function carryOut(
  deps: Pick<StandbyDeps, 'log' | 'signal'>,
  steps: readonly BoundStep[],
): Promise<void> {
  const begun: BoundStep[] = [];
  try {
    for (const step of steps) {
      deps.signal.throwIfAborted();
      deps.log.debug(step.say());
      begun.push(step);
      await step.run();
    }
  } catch (error) {
    const isUndone = await undoAll(deps, begun);
    const isChanged = begun.slice(0, -1).some(({ leavesNothing }) => !leavesNothing);
    throw afterChanges(error, isChanged || !isUndone);
  }
}

/**
 * Carries out a plan: a list of steps as data, which a pure function made from the facts. With `--dry-run` the plan is
 * printed instead.
 *
 * @returns whether it was carried out
 */
export async function perform<S extends { readonly kind: string }, C>(
  deps: Pick<StandbyDeps, 'log' | 'report' | 'signal'>,
  { dryRun }: { readonly dryRun: boolean },
  steps: readonly S[],
  table: StepTable<S, C>,
  context: C,
  around?: Around<S>,
): Promise<boolean> {
  const bound = bindSteps(steps, table, context, around);
  if (dryRun) printPlan(deps, bound);
  else await carryOut(deps, bound);
  return !dryRun;
}
