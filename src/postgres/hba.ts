/**
 * The rules of pg_hba.conf for a login over the Unix socket, as far as its text alone shows them (manual, "The
 * pg_hba.conf File").
 */

export interface SocketLogin {
  readonly user: string;
  readonly database: string;
}

export type HbaAnswer =
  /** The first line that matches. */
  | { readonly kind: 'line'; readonly number: number; readonly method: string; readonly hasMap: boolean }
  | { readonly kind: 'no-line' }
  /** A line before the first match depends on what the text does not contain: a role's members, another file. */
  | { readonly kind: 'unknown'; readonly number: number };

interface Token {
  readonly text: string;
  /** A keyword in quotes loses its meaning. */
  readonly isQuoted: boolean;
}

type Fit = 'yes' | 'no' | 'unknown';

/** The fields of a line, each a list. Blanks end a field; a comma continues it. */
function fieldsOf(line: string): readonly (readonly Token[])[] {
  const fields: Token[][] = [];
  let isListOpen = false;
  for (const [, quoted, plain, comma] of line.matchAll(/"([^"]*)"|([^\s,"#]+)|(,)|#.*$/g)) {
    if (comma !== undefined) {
      isListOpen = true;
      continue;
    }
    const text = quoted ?? plain;
    if (text === undefined) break;
    const token = { text, isQuoted: quoted !== undefined };
    const last = fields.at(-1);
    if (isListOpen && last !== undefined) last.push(token);
    else fields.push([token]);
    isListOpen = false;
  }
  return fields;
}

const needsMore = /^[+@/]/;

function fits({ text, isQuoted }: Token, name: string, keywords: readonly string[]): Fit {
  if (isQuoted) return text === name ? 'yes' : 'no';
  if (keywords.includes(text)) return 'yes';
  if (needsMore.test(text) || ['samerole', 'samegroup'].includes(text)) return 'unknown';
  return text === name && text !== 'replication' ? 'yes' : 'no';
}

function fitsAny(tokens: readonly Token[], name: string, keywords: readonly string[]): Fit {
  const answers = tokens.map((token) => fits(token, name, keywords));
  if (answers.includes('yes')) return 'yes';
  return answers.includes('unknown') ? 'unknown' : 'no';
}

function lineFits(fields: readonly (readonly Token[])[], { user, database }: SocketLogin): Fit {
  const [type = [], databases = [], users = []] = fields;
  const word = type[0]?.text ?? '';
  if (/^(@|include)/.test(word)) return 'unknown';
  if (word !== 'local') return 'no';
  const both = [
    fitsAny(databases, database, user === database ? ['all', 'sameuser'] : ['all']),
    fitsAny(users, user, ['all']),
  ];
  if (both.includes('no')) return 'no';
  return both.includes('unknown') ? 'unknown' : 'yes';
}

/** The first line for this login decides, as in the server. */
export function askHba(text: string, login: SocketLogin): HbaAnswer {
  // From 14 on a backslash at the end of a line continues it; the number is that of its beginning.
  const lines = text.replaceAll(/\\\r?\n/g, ' ').split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    const fields = fieldsOf(line);
    const fit = lineFits(fields, login);
    if (fit === 'no') continue;
    const number = index + 1;
    if (fit === 'unknown') return { kind: 'unknown', number };
    const options = fields.slice(4).flat();
    const hasMap = options.some((option) => option.text.startsWith('map='));
    return { kind: 'line', number, method: fields[3]?.[0]?.text ?? '', hasMap };
  }
  return { kind: 'no-line' };
}
