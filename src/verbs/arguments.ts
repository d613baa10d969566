/**
 * The arguments of a verb, as words on the line that asks another host for it. Each is parsed strictly at the other
 * end: a word in any other form is refused.
 */
import { isHostWord, parseTimeline } from '../postgres/left-timeline.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';

export interface ArgumentKind<T> {
  /** For messages: `not a WAL location: …`. */
  readonly what: string;
  /** A word without blanks. */
  readonly format: (value: T) => string;
  readonly parse: (word: string) => T | undefined;
}

export const timeline: ArgumentKind<number> = { what: 'a timeline', format: String, parse: parseTimeline };

export const lsn: ArgumentKind<bigint> = {
  what: 'a WAL location',
  format: formatLsn,
  parse: (word) => (/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(word) ? parseLsn(word) : undefined),
};

export const host: ArgumentKind<string> = {
  what: 'the name of a host',
  format: (name) => name,
  parse: (word) => (isHostWord(word) ? word : undefined),
};
