/** The arguments of requests to the side of the data (data-requests.ts), beside those of arguments.ts. */
import { decodeBytes, decodeText, encodeBytes, encodeText } from '../system/wire-words.ts';
import { type ArgumentKind, text, walName } from './arguments.ts';
import type { PagePlace } from './scripts/data-files.ts';
import type { OfferedFile } from './scripts/offer.ts';

/** Whether a path stays below the directory to which it is relative, and names something in it. */
function isBelow(path: string): boolean {
  return (
    !path.includes('\0') && path.split('/').every((step) => step !== '' && step !== '.' && step !== '..')
  );
}

/** A path below a directory of the data. A name there may have any bytes: each is a character here (latin1). */
export const pathBelow: ArgumentKind<string> = {
  what: 'a path below that directory',
  format: encodeBytes,
  parse: (word) => {
    const path = decodeBytes(word);
    return path !== undefined && isBelow(path) ? path : undefined;
  },
};

/** The same as text, with patterns of find(1): `pg_notify/*`. */
export const patternBelow: ArgumentKind<string> = {
  what: 'a pattern of paths below that directory',
  format: text.format,
  parse: (word) => {
    const pattern = text.parse(word);
    return pattern !== undefined && isBelow(pattern) ? pattern : undefined;
  },
};

export function upTo(most: number): ArgumentKind<number> {
  return {
    what: `a number up to ${most}`,
    format: String,
    parse: (word) => (/^(0|[1-9]\d{0,14})$/.test(word) && Number(word) <= most ? Number(word) : undefined),
  };
}

const largestFile = 2 ** 50;
const largestPage = 64 * 1024;
const offset = upTo(largestFile);
const size = upTo(largestPage);

/** A page of a file, as `PATH:OFFSET:BYTES`. */
export const page: ArgumentKind<PagePlace> = {
  what: 'a page of a file below the data directory',
  format: ({ path, offset: from, bytes }) => `${pathBelow.format(path)}:${from}:${bytes}`,
  parse: (word) => {
    const [file = '', from = '', length = '', ...more] = word.split(':');
    const path = pathBelow.parse(file);
    const place = { offset: offset.parse(from), bytes: size.parse(length) };
    if (path === undefined || place.offset === undefined || place.bytes === undefined || more.length > 0)
      return undefined;
    return { path, offset: place.offset, bytes: place.bytes };
  },
};

/** A file that is offered, as `NAME:archive` or `NAME:diverged`, or `NAME:tail` for a diverged one whose end is not written. */
export const offeredFile: ArgumentKind<OfferedFile> = {
  what: 'a WAL file that is offered',
  format: ({ name, to, isTail }) => `${name}:${isTail ? 'tail' : to}`,
  parse: (word) => {
    const [name = '', kind = '', ...more] = word.split(':');
    if (walName.parse(name) === undefined || more.length > 0) return undefined;
    if (kind === 'archive' || kind === 'diverged') return { name, to: kind, isTail: false };
    return kind === 'tail' ? { name, to: 'diverged', isTail: true } : undefined;
  },
};

/** Where psql finds a server when it runs on that host: an address, a name, or the directory of a socket. */
export const serverAddress: ArgumentKind<string> = {
  what: 'the address of a server',
  format: encodeText,
  parse: (word) => {
    const address = decodeText(word);
    return address !== undefined && /^[A-Za-z0-9._/:][A-Za-z0-9._/:%-]{0,199}$/.test(address)
      ? address
      : undefined;
  },
};

/** A role or a database: an argument of psql of its own. */
export const databaseWord: ArgumentKind<string> = {
  what: 'the name of a role or database',
  format: encodeText,
  parse: (word) => {
    const name = decodeText(word);
    // libpq takes a name with `=` or `://` for a connection string, which may contain anything.
    return name !== undefined && /^[^\p{C}=]{1,63}$/u.test(name) && !name.includes('://') ? name : undefined;
  },
};

/** Random hexadecimal text between fields or rows. */
export const separator: ArgumentKind<string> = {
  what: 'a separator',
  format: (text) => text,
  parse: (word) => (/^[0-9a-f]{24}$/.test(word) ? word : undefined),
};
