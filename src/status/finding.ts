/** A thing that an operator must know of, found in the facts. Pure. */
import type { Fact } from './fact.ts';

/** From best to worst. `unknown` is no good news, but a warning that was seen is worse. */
export const levels = ['ok', 'unknown', 'warning', 'critical'] as const;

export type Level = (typeof levels)[number];

export interface Finding {
  /** Which question it answers: the same for every host and version, for machines. */
  readonly name: string;
  /** The standby, directory or setting that it is about, if the name alone does not say it. */
  readonly about?: string | undefined;
  readonly level: Exclude<Level, 'ok'>;
  /** Lower case, no full stop. */
  readonly message: string;
  /** Milliseconds since 1970; absent if it is not known since when. */
  readonly sinceMs?: number | undefined;
  /** The way out, as a sentence. */
  readonly hint: string;
}

export function worstOf(findings: readonly Pick<Finding, 'level'>[]): Level {
  const found = new Set<Level>(findings.map(({ level }) => level));
  return levels.findLast((level) => found.has(level)) ?? 'ok';
}

/** The worst first; otherwise in the order in which they were found. */
export function bySeverity(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => levels.indexOf(b.level) - levels.indexOf(a.level));
}

/** An unknown fact as a finding; `what` names it in words, such as `the state of standby b`. */
export function unknownFinding(name: string, what: string, fact: Fact<unknown>, hint: string): Finding[] {
  if (fact.kind === 'seen') return [];
  return [
    { name, about: undefined, level: 'unknown', message: `${what} is not known: ${fact.reason}`, hint },
  ];
}
