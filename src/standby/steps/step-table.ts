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

/** One step of one run: what its entry says and does of it. */
export interface BoundStep {
  readonly say: () => string;
  readonly run: () => Promise<void>;
  readonly undo: () => Promise<void>;
  readonly leavesNothing: boolean;
}

export function bindSteps<S extends { readonly kind: string }, C>(
  steps: readonly S[],
  table: StepTable<S, C>,
  context: C,
): readonly BoundStep[] {
  return steps.map((step) => {
    // The compiler knows no relation between a step's kind and its entry; the table's type is what keeps it.
    const { say, run, undo, leavesNothing = false } = table[step.kind as S['kind']] as StepEntry<S, C>;
    return {
      say: () => say(step, context),
      run: async () => {
        await run(context, step);
      },
      undo: async () => undo?.(context, step),
      leavesNothing,
    };
  });
}
