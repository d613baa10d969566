/**
 * The arguments of a verb, as words on the line that asks another host for it. Each is parsed strictly at the other
 * end: a word in any other form is refused.
 */
import { isHostWord, parseTimeline } from '../postgres/left-timeline.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { parseWalName } from '../postgres/wal-name.ts';
import { printable } from '../system/printable.ts';

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

/** Any text of one line. Escaped, so that a word has no blank and nothing that a shell would read. */
export const text: ArgumentKind<string> = {
  what: 'a text in one line',
  format: (value) =>
    // An empty word would be lost between two blanks.
    value === ''
      ? '%'
      : encodeURIComponent(value).replaceAll(
          /[!'()*~]/g,
          (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
        ),
  parse: (word) => {
    if (word === '%') return '';
    if (!/^(?:[A-Za-z0-9._-]|%[0-9A-F]{2})+$/.test(word)) return undefined;
    try {
      const value = decodeURIComponent(word);
      return /[\n\t]/.test(value) || printable(value) !== value ? undefined : value;
    } catch {
      return undefined;
    }
  },
};

export const path: ArgumentKind<string> = {
  what: 'an absolute path',
  format: text.format,
  parse: (word) => {
    const value = text.parse(word);
    return value?.startsWith('/') === true ? value : undefined;
  },
};

/** A name of one directory below another, as a script may write it without quotes. */
export const directoryName: ArgumentKind<string> = {
  what: 'the name of a directory',
  format: (name) => name,
  parse: (word) =>
    /^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,127}$/.test(word) && !/^\.\.?$/.test(word) ? word : undefined,
};

/** The name of a file that PostgreSQL archives. */
export const walName: ArgumentKind<string> = {
  what: 'the name of a WAL file',
  format: (name) => name,
  parse: (word) => (parseWalName(word).kind === 'not-wal' ? undefined : word),
};

export const segmentName: ArgumentKind<string> = {
  what: 'the name of a segment',
  format: (name) => name,
  parse: (word) => (parseWalName(word).kind === 'segment' ? word : undefined),
};

/** A file in the inbox, and the size that it must have. */
export const sizedFile: ArgumentKind<{ readonly name: string; readonly size: number }> = {
  what: 'a WAL file with its size',
  format: ({ name, size }) => `${name}:${size}`,
  parse: (word) => {
    const [name = '', size = '', ...more] = word.split(':');
    if (more.length > 0 || walName.parse(name) === undefined || !/^\d{1,12}$/.test(size)) return undefined;
    return { name, size: Number(size) };
  },
};

/** A segment, the size that it must have, and the SHA-256 of its frame in the inbox. */
export const framedFile: ArgumentKind<{
  readonly name: string;
  readonly size: number;
  readonly digest: string;
}> = {
  what: 'a segment with its size and the digest of its frame',
  format: ({ digest, ...file }) => `${sizedFile.format(file)}:${digest}`,
  parse: (word) => {
    const [, file = '', digest = ''] = /^(.*):([0-9a-f]{64})$/.exec(word) ?? [];
    const sized = sizedFile.parse(file);
    return sized === undefined || segmentName.parse(sized.name) === undefined
      ? undefined
      : { ...sized, digest };
  },
};

export function oneOf<const Word extends string>(...words: readonly Word[]): ArgumentKind<Word> {
  return {
    what: `one of ${words.join(', ')}`,
    format: (word) => word,
    parse: (word) => words.find((each) => each === word),
  };
}

/** Several of them in one word. */
export function severalOf<T>({ what, format, parse }: ArgumentKind<T>): ArgumentKind<readonly T[]> {
  return {
    what: `a list: each ${what}`,
    format: (values) => (values.length === 0 ? '-' : values.map(format).join(',')),
    parse: (word) => {
      if (word === '-') return [];
      const values = word.split(',').map(parse);
      return values.includes(undefined) ? undefined : (values as readonly T[]);
    },
  };
}
