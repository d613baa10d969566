/**
 * The files that libpq takes connection parameters from: the password file and the connection service file
 * (manual, sections "The Password File" and "The Connection Service File").
 */

/** The connection that a line of the password file must match. */
export interface PasswordQuestion {
  /** Any of these may be in the line: the default socket directory also has the name `localhost`. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

interface Field {
  readonly text: string;
  readonly isWildcard: boolean;
  /** The position at which the next field begins. */
  readonly end: number;
}

/** A backslash makes the next character literal. Undefined if no colon ends the field. */
function readField(line: string, start: number): Field | undefined {
  let text = '';
  for (let at = start; at < line.length; at += 1) {
    if (line[at] === ':') return { text, isWildcard: line.slice(start, at) === '*', end: at + 1 };
    if (line[at] === '\\' && at + 1 < line.length) at += 1;
    text += line[at] ?? '';
  }
  return undefined;
}

function passwordOf(line: string, { hosts, port, database, user }: PasswordQuestion): string | undefined {
  let start = 0;
  for (const wanted of [hosts, [String(port)], [database], [user]]) {
    const field = readField(line, start);
    if (field === undefined || (!field.isWildcard && !wanted.includes(field.text))) return undefined;
    start = field.end;
  }
  return line.slice(start).replaceAll(/\\(.)/gsu, '$1');
}

/** The password of the first line that matches. An empty one counts as none, as in libpq. */
export function findPassword(text: string, question: PasswordQuestion): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const password = passwordOf(line, question);
    if (password !== undefined) return password === '' ? undefined : password;
  }
  return undefined;
}

/** The parameters of one service; undefined if the file has no service of that name. */
export function findService(text: string, name: string): ReadonlyMap<string, string> | undefined {
  let found: Map<string, string> | undefined;
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      // The first section of the name counts, up to the next section.
      if (found !== undefined) return found;
      if (line === `[${name}]`) found = new Map();
      continue;
    }
    const equals = line.indexOf('=');
    const key = line.slice(0, equals).trim();
    if (equals > 0 && found?.has(key) === false) found.set(key, line.slice(equals + 1).trim());
  }
  return found;
}
