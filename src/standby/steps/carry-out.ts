import { exitCodes, messageOf, PitrError } from '../../errors.ts';
import type { StandbyDeps } from '../deps.ts';

/**
 * A plan is a list of steps as data: made by a pure function from what was observed, printed by `--dry-run`, carried out
 * by `carryOut`. `S` is the action's own union of steps, closed on `kind`.
 */
export interface StepHandler<S> {
  /** One line, as a person would say what is going to happen. */
  readonly describe: (step: S) => string;
  readonly run: (step: S) => Promise<void>;
  /**
   * Takes back what `run` did, also when `run` failed half way. Absent for a step that leaves nothing to undo. Called once, in
   * reverse order, after a failure or a signal; never after success.
   */
  readonly undo?: ((step: S) => Promise<void>) | undefined;
  /** Whether nothing is changed any more once the step has run and was undone: it only looks, or all is taken back. */
  readonly leavesNothing?: ((step: S) => boolean) | undefined;
}

export function printPlan<S>(
  deps: Pick<StandbyDeps, 'report'>,
  steps: readonly S[],
  handler: StepHandler<S>,
): void {
  if (steps.length === 0) deps.report('Nothing to do.');
  steps.forEach((step, index) => {
    deps.report(`${index + 1}. ${handler.describe(step)}`);
  });
  deps.report('Dry run: nothing was changed.');
}

/** Whether all could be undone. */
async function undoAll<S>(
  deps: Pick<StandbyDeps, 'log'>,
  begun: readonly S[],
  handler: StepHandler<S>,
): Promise<boolean> {
  let isUndone = true;
  for (const step of [...begun].reverse()) {
    try {
      await handler.undo?.(step);
    } catch (error) {
      // The first failure is what the user must see; what could not be undone is said beside it.
      deps.log.error(`could not undo "${handler.describe(step)}": ${messageOf(error)}`);
      isUndone = false;
    }
  }
  return isUndone;
}

/**
 * A refusal, exit 4, means that nothing was changed. Steps are all that changes anything, so this is the one place that knows:
 * a step that refuses has changed nothing itself, but those before it may have.
 */
function afterChanges(error: unknown, isChanged: boolean): unknown {
  if (!isChanged || !(error instanceof PitrError) || error.exitCode !== exitCodes.refused) return error;
  const { message, detail, hint, cause } = error;
  return new PitrError(message.replace(/; nothing was changed$/, ''), {
    detail: [detail, 'What was done before is not taken back.'].filter(Boolean).join('\n'),
    hint,
    cause,
    exitCode: exitCodes.failure,
  });
}

/** Carries the steps out in order. A failure, or a signal between two steps, undoes what was begun and is thrown. */
export async function carryOut<S>(
  deps: Pick<StandbyDeps, 'log' | 'signal'>,
  steps: readonly S[],
  handler: StepHandler<S>,
): Promise<void> {
  const begun: S[] = [];
  try {
    for (const step of steps) {
      deps.signal.throwIfAborted();
      deps.log.debug(handler.describe(step));
      begun.push(step);
      await handler.run(step);
    }
  } catch (error) {
    const isUndone = await undoAll(deps, begun, handler);
    const isChanged = begun.slice(0, -1).some((step) => handler.leavesNothing?.(step) !== true);
    throw afterChanges(error, isChanged || !isUndone);
  }
}
