import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';

export interface Patience {
  /** How long to keep asking; two minutes by default, for slow machines. */
  readonly limitMs?: number;
  readonly everyMs?: number;
  /** What is waited for, as the failure shall name it. */
  readonly what?: string;
}

/**
 * Asks until the answer is neither `undefined`, `null` nor `false`, and returns it. A question that throws
 * counts as "not yet"; the last error is shown when time is up.
 */
export async function eventually<T>(
  ask: () => Promise<T> | T,
  patience: Patience = {},
): Promise<NonNullable<T>> {
  const { limitMs = 120_000, everyMs = 25, what = ask.toString() } = patience;
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await attempt(ask);
    if (answer.kind === 'yes') return answer.value;
    if (Date.now() >= deadline) {
      // In the message too: reports of a run keep no cause.
      const last = answer.error === undefined ? '' : `: ${messageOf(answer.error)}`;
      throw new Error(`not within ${limitMs} ms: ${what}${last}`, { cause: answer.error });
    }
    await delay(everyMs);
  }
}

type Answer<T> = { kind: 'yes'; value: NonNullable<T> } | { kind: 'not yet'; error: unknown };

async function attempt<T>(ask: () => Promise<T> | T): Promise<Answer<T>> {
  try {
    const value = await ask();
    const isYes = value !== undefined && value !== null && value !== false;
    return isYes ? { kind: 'yes', value } : { kind: 'not yet', error: undefined };
  } catch (error) {
    return { kind: 'not yet', error };
  }
}
