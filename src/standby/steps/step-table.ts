import type { StandbyDeps } from '../deps.ts';
import { carryOut, printPlan, type StepHandler } from './carry-out.ts';

/** One kind of step: its sentence, its doing and its undoing. */
export interface StepEntry<S, C> {
  /** One line, as a person would say what is going to happen. */
  readonly say: (step: S, context: C) => string;
  readonly run: (context: C, step: S) => unknown;
  /**
   * Takes back what `run` did, also when `run` failed half way. Absent for a step that leaves nothing to undo. Called once, in
   * reverse order, after a failure or a signal; never after success.
   */
  readonly undo?: (context: C, step: S) => Promise<void>;
  /** Nothing is changed any more once the step has run and was undone: it only looks, or all is taken back. */
  readonly leavesNothing?: boolean;
}

/** All that an action's steps are: a kind that is missing here does not compile. */
export type StepTable<S extends { readonly kind: string }, C> = {
  readonly [K in S['kind']]: StepEntry<Extract<S, { readonly kind: K }>, C>;
};

/** The steps that a table has entries for, as a plan names them: for an action whose steps are declared by their entries. */
export type StepsOf<T> = {
  readonly [K in keyof T & string]: T[K] extends StepEntry<infer P, never> ? { readonly kind: K } & P : never;
}[keyof T & string];

/** The compiler knows no relation between a step's kind and its entry; the table's type is what keeps it. */
function entryOf<S extends { readonly kind: string }, C>(table: StepTable<S, C>, step: S): StepEntry<S, C> {
  return table[step.kind as S['kind']] as StepEntry<S, C>;
}

/** The steps of a table in one run, whose context each of them is given. */
export function handlerOf<S extends { readonly kind: string }, C>(
  table: StepTable<S, C>,
  context: C,
): StepHandler<S> {
  return {
    describe: (step) => entryOf(table, step).say(step, context),
    run: async (step) => {
      await entryOf(table, step).run(context, step);
    },
    undo: async (step) => entryOf(table, step).undo?.(context, step),
    leavesNothing: (step) => entryOf(table, step).leavesNothing === true,
  };
}

/** Carries the steps out; with `--dry-run` it prints them. @returns whether they were carried out */
export async function perform<S extends { readonly kind: string }, C>(
  deps: Pick<StandbyDeps, 'log' | 'report' | 'signal'>,
  { dryRun }: { readonly dryRun: boolean },
  steps: readonly S[],
  table: StepTable<S, C>,
  context: C,
): Promise<boolean> {
  const handler = handlerOf(table, context);
  if (dryRun) printPlan(deps, steps, handler);
  else await carryOut(deps, steps, handler);
  return !dryRun;
}
