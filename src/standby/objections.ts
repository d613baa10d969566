import { PitrError, refusal } from '../errors.ts';

/** Why an action must not begin. */
export interface Objection {
  readonly message: string;
  readonly hint: string;
}

/** Turns what would end the program into one objection among others, so that all are told at once. */
export async function objectionsOf(
  tries: readonly (() => Promise<unknown>)[],
): Promise<readonly Objection[]> {
  const found: Objection[] = [];
  for (const attempt of tries) {
    try {
      await attempt();
    } catch (error) {
      if (!(error instanceof PitrError)) throw error;
      found.push({ message: error.message, hint: [error.detail, error.hint].filter(Boolean).join(' ') });
    }
  }
  return found;
}

/** Refuses with all objections at once. */
export function refuseOn(objections: readonly Objection[]): void {
  const [first, ...others] = objections;
  if (first === undefined) return;
  throw refusal(first.message, {
    detail:
      others.length === 0
        ? undefined
        : ['also:', ...others.map((other) => `- ${other.message}. ${other.hint}`)].join('\n'),
    hint: first.hint,
  });
}
