/**
 * Exit codes of both programs. All lie between 1 and 125: PostgreSQL ends its archiver process when
 * `archive_command` exits above that (manual, chapter "Continuous Archiving").
 */
export const exitCodes = {
  /** The operation was tried and did not succeed. */
  failure: 1,
  /** The command line contains an error. */
  usage: 2,
  /** The INI file cannot be used. */
  configuration: 3,
  /** The operation was refused because it would have done harm. Nothing was changed. */
  refused: 4,
  /** The failover happened, but `action_failover` did not exit 0. */
  actionFailed: 5,
  /** The program was ended by a signal (SIGINT, SIGTERM, SIGHUP) before it had finished. */
  interrupted: 6,
  /** Only `--check`: nothing failed, but something could not be determined. */
  notAllChecked: 7,
  /** Only `--setup`: a person has to type the commands that it shows, and then to run it again. */
  unfinished: 8,
  /** Only `-P`: what it found in place of the living primary. */
  primaryDead: 10,
  primaryUnreachable: 11,
  primaryUnasked: 12,
  primarySilent: 13,
  primaryInRecovery: 14,
  primaryOfOtherCluster: 15,
  /** A bug of ours: the only case that shows a stack. */
  bug: 70,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Facts for the reader of an error beside its message. */
export interface Explanation {
  /** Facts: the output of the command that failed, the two digests, the other value. */
  readonly detail?: string | undefined;
  /** The next thing to do, as a sentence. */
  readonly hint?: string | undefined;
  readonly exitCode?: ExitCode | undefined;
  readonly cause?: unknown;
}

/**
 * A failure that a user can act on: shown without a stack. The message is lower case, has no full stop
 * and names the thing and its value.
 */
export class PitrError extends Error {
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, explanation: Explanation = {}) {
    super(message, { cause: explanation.cause });
    this.name = 'PitrError';
    this.detail = explanation.detail;
    this.hint = explanation.hint;
    this.exitCode = explanation.exitCode ?? exitCodes.failure;
  }
}

/** The operation would have done harm and was not begun; nothing was changed. */
export function refusal(message: string, explanation: Omit<Explanation, 'exitCode'> = {}): PitrError {
  return new PitrError(message, { ...explanation, exitCode: exitCodes.refused });
}

/** The command line contains an error. */
export function usageError(message: string, hint: string): PitrError {
  return new PitrError(message, { hint, exitCode: exitCodes.usage });
}

/** Closes a `switch` over a discriminated union: the compiler rejects a call that can be reached. */
export function unreachable(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}

/**
 * The text of any thrown value, without a stack. Node's error for a name with several addresses, none of which answers, has its
 * words in the errors that it is made of.
 */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '')
    return thrown.errors.map((each) => messageOf(each)).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}
