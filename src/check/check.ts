/** The engine of --check, which both programs have: active checks, each by itself. */
import { messageOf, PitrError } from '../errors.ts';
import { NotKnown } from '../status/fact.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';

/** `unknown` is no good news: the check could not be made. */
export const results = ['ok', 'failed', 'unknown', 'skipped'] as const;

type Result = (typeof results)[number];

export interface Verdict {
  readonly result: Result;
  /** The host or setting that it is about, if the check's name alone does not say it. */
  readonly about?: string | undefined;
  /** Lower case, no full stop. */
  readonly says: string;
  /** The way out, as a sentence. Something that is good may have a remark. */
  readonly hint?: string | undefined;
}

/** A check that was skipped because another one has found something: that one says what. */
export interface Dependent extends Verdict {
  readonly dependsOn: string;
}

interface Check<Context> {
  /** The question that it answers, for the documentation. */
  readonly what: string;
  readonly run: (context: Context) => Promise<Verdict | readonly Verdict[]>;
}

/** By name, in the order in which the results are shown. */
export type Checks<Context> = Readonly<Record<string, Check<Context>>>;

/** A verdict, and the check that it is of. */
export interface CheckResult extends Verdict {
  readonly name: string;
  /** Seconds that the check took. */
  readonly tookS: number;
}

export interface CheckDeps extends Pick<Clock, 'monotonicMs'> {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** No check takes longer, whatever it waits for. */
export const checkLimitS = 90;

export const good = (says: string, hint?: string): Verdict => ({ result: 'ok', says, hint });
export const failure = (says: string, hint?: string): Verdict => ({ result: 'failed', says, hint });
export const unknown = (says: string, hint?: string): Verdict => ({ result: 'unknown', says, hint });
export const skipped = (says: string): Verdict => ({ result: 'skipped', says });

export function dependent(says: string, dependsOn: string): Dependent {
  return { result: 'skipped', says: `${says}: see the check ${dependsOn}`, dependsOn };
}

/** Nobody has run the check that would have said it. */
function withoutThatCheck(verdict: Verdict, ran: readonly string[]): Verdict {
  if (!('dependsOn' in verdict)) return verdict;
  const { dependsOn, ...rest } = verdict as Dependent;
  return ran.includes(dependsOn) ? rest : { ...rest, result: 'unknown' };
}

/** The same for one of several things that a check is about. */
export function of(about: string, verdict: Verdict): Verdict {
  return { ...verdict, about };
}

/** An error that a user can act on has found something; any other one only shows that the check could not be made. */
export function verdictOfError(error: unknown): Verdict {
  if (error instanceof NotKnown || !(error instanceof PitrError)) return unknown(messageOf(error));
  const { message, detail, hint } = error;
  return failure(detail === undefined ? message : `${message} (${detail})`, hint);
}

function afterLimit() {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<Verdict>((resolve) => {
    timer = setTimeout(() => {
      resolve(unknown(`it did not end within ${checkLimitS} s`));
    }, checkLimitS * 1000);
  });
  return {
    passed,
    clear: () => {
      clearTimeout(timer);
    },
  };
}

async function runCheck<Context>(
  { log, monotonicMs, signal }: CheckDeps,
  name: string,
  check: Check<Context>,
  context: Context,
  ran: readonly string[],
): Promise<readonly CheckResult[]> {
  const startMs = monotonicMs();
  const limit = afterLimit();
  let verdicts: Verdict | readonly Verdict[];
  try {
    verdicts = await Promise.race([check.run(context), limit.passed]);
  } catch (error) {
    signal.throwIfAborted();
    log.debug(`check ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    verdicts = verdictOfError(error);
  } finally {
    limit.clear();
  }
  const tookS = Math.round((monotonicMs() - startMs) / 10) / 100;
  return [verdicts].flat().map((verdict) => ({ ...withoutThatCheck(verdict, ran), name, tookS }));
}

/**
 * All at once, so that one host that does not answer delays no other; the results come in the table's order.
 *
 * @param names the checks to run; all of them if there is none
 */
export async function runChecks<Context>(
  deps: CheckDeps,
  checks: Checks<Context>,
  names: readonly string[],
  context: Context,
): Promise<readonly CheckResult[]> {
  const chosen = Object.entries(checks).filter(([name]) => names.length === 0 || names.includes(name));
  const ran = chosen.map(([name]) => name);
  const found = await Promise.all(chosen.map(([name, check]) => runCheck(deps, name, check, context, ran)));
  return found.flat();
}

/** The worst of them. What was skipped says nothing: the reason is another check's, or there is nothing to look at. */
export function overall(found: readonly Pick<Verdict, 'result'>[]): 'ok' | 'failed' | 'unknown' {
  const has = (wanted: Result): boolean => found.some(({ result }) => result === wanted);
  if (has('failed')) return 'failed';
  return has('unknown') ? 'unknown' : 'ok';
}

/** A question that several checks ask: the first one asks it, and all get the answer. */
export function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => (answer ??= ask());
}
