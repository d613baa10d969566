/** One kind of step: how it is described, run and undone. */
export interface StepEntry<S, C> {
  /** One line that describes to the operator what the step will do. */
  readonly say: (step: S, context: C) => string;
  readonly run: (context: C, step: S) => unknown;
  /**
   * Reverses `run`, also if `run` failed half way. Absent if the step leaves nothing to undo. Called once, in reverse
   * order, after a failure or a signal; never after success.
   */
  readonly undo?: (context: C, step: S) => Promise<void>;
  /** After the step has run and was undone, everything is as before: the step only reads, or its undo restores everything. */
  readonly leavesNothing?: boolean;
}

/** For the entries of one table: `P` is what a plan gives the step. */
export function entriesFor<C>() {
  return <P = unknown>(entry: StepEntry<P, C>): StepEntry<P, C> => entry;
}

/** An entry for every kind of step of an action: if one is missing, the code does not compile. */
export type StepTable<S extends { readonly kind: string }, C> = {
  readonly [K in S['kind']]: StepEntry<Extract<S, { readonly kind: K }>, C>;
};

/**
 * The steps for which a table has entries, in the form that a plan uses. For an action whose steps are declared by
 * their entries.
 */
export type StepsOf<T> = {
  readonly [K in keyof T & string]: T[K] extends StepEntry<infer P, never> ? { readonly kind: K } & P : never;
}[keyof T & string];

/** One step of a plan, bound to its entry and its context. */
export interface BoundStep {
  readonly say: () => string;
  readonly run: () => Promise<void>;
  readonly undo: () => Promise<void>;
  readonly leavesNothing: boolean;
}

/** Carries out a step, with something before and after it, such as a clock. */
export type Around<S> = (step: S, run: () => Promise<void>) => Promise<void>;

export function bindSteps<S extends { readonly kind: string }, C>(
  steps: readonly S[],
  table: StepTable<S, C>,
  context: C,
  around: Around<S> = (_, run) => run(),
): readonly BoundStep[] {
  return steps.map((step) => {
    // The compiler cannot relate a step's kind to its entry; the type of the table guarantees it.
    const { say, run, undo, leavesNothing = false } = table[step.kind as S['kind']] as StepEntry<S, C>;
    return {
      say: () => say(step, context),
      run: () =>
        around(step, async () => {
          await run(context, step);
        }),
      undo: async () => undo?.(context, step),
      leavesNothing,
    };
  });
}
