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

/** A kind of some type: what the tables of several kinds have in common. */
export type AnyArgument = Pick<ArgumentKind<unknown>, 'what' | 'parse'> & {
  readonly format: (value: never) => string;
};

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

/** Random: it names one run of a program, and no other run has it. */
export const token: ArgumentKind<string> = {
  what: 'the token of a run',
  format: (text) => text,
  parse: (word) => (/^[0-9a-f]{8,64}$/.test(word) ? word : undefined),
};

export const port: ArgumentKind<number> = {
  what: 'a port',
  format: String,
  parse: (word) => (/^[1-9]\d{0,4}$/.test(word) && Number(word) <= 65_535 ? Number(word) : undefined),
};

export const cluster: ArgumentKind<string> = {
  what: 'the system identifier of a cluster',
  format: (identifier) => identifier,
  parse: (word) => (/^[1-9]\d{0,19}$/.test(word) ? word : undefined),
};

export const choice: ArgumentKind<boolean> = {
  what: 'yes or no',
  format: (value) => (value ? 'yes' : 'no'),
  parse: (word) => (word === 'yes' ? true : word === 'no' ? false : undefined),
};
