/** A mistake in a configuration file that its author has to correct. */
export interface Problem {
  /** Counted from 1. */
  readonly line: number;
  /** Lower case, no full stop; never contains a secret's value. */
  readonly message: string;
}

/** One line per problem, in the file's order, in the form that editors and `grep -n` use. */
export function describeProblems(fileName: string, problems: readonly Problem[]): string[] {
  return orderProblems(problems).map(({ line, message }) => `${fileName}:${line}: ${message}`);
}

/** Sorted by line, each only once: a default is read again for every section that inherits it. */
export function orderProblems(problems: readonly Problem[]): Problem[] {
  const byText = new Map(problems.map((problem) => [`${problem.line} ${problem.message}`, problem]));
  return [...byText.values()].sort((a, b) => a.line - b.line);
}
