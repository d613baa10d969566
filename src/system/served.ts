/**
 * A key that can do little: sshd runs a program of ours for it (`--serve` in authorized_keys), whatever is asked for.
 * This is what both ends of such a connection write. A client does not know beforehand what its key may do: it begins
 * as with a shell, and the answer to these first lines shows it.
 */
import { cleanShellLine } from './environment.ts';
import { checkFields, is } from './json.ts';
import { printable } from './printable.ts';
import { shellQuote } from './shell-quote.ts';

/** The remote command of every connection. */
export const sessionWord = 'sh';
/** Our scripts' answers end with a line that begins with this. */
export const marker = '@pitrtools';
const servesWord = 'serves';
/** The status of a request that the other end refuses; no script of ours ends with it. */
export const refusedStatus = 126;
/** The line that says that a request was refused, or failed, begins with this; the reason follows. */
export const refusalMark = 'refused: ';

const isPath = (value: unknown): value is string =>
  typeof value === 'string' && value.startsWith('/') && printable(value) === value;

const servedFields = {
  version: is.number,
  /** `archive`: that of a standby, for a primary and the other standbys; `data`: a primary, for its standbys. */
  side: is.oneOf('archive', 'data'),
  /** It may change the role of the server there. */
  roles: is.boolean,
  /** How the forced command is called: absolute paths. */
  program: isPath,
  ini: isPath,
};

/** The rights of a restricted key. */
export type Served = ReturnType<typeof checkFields<typeof servedFields>>;

/** The only version so far: a request that the other end does not know is refused by itself. */
export const servedVersion = 1;

/** A script for the remote shell, and the line with its nonce and status behind it. */
export function frame(script: string, nonce: string): string {
  return `(\n${script}\n) </dev/null\nprintf '\\n${marker} ${nonce} %s\\n' "$?"\n`;
}

const openingScript = 'umask 077';

/** The first text on a connection. A login there may set variables that change the work of our scripts, just as one here. */
export function openingOf(nonce: string): string {
  return `${cleanShellLine}\n${frame(openingScript, nonce)}`;
}

const openingPatterns = [
  // Another release may know other variables.
  /^LC_ALL=C; export LC_ALL; unset [A-Z_ ]{1,5000}$/,
  /^\($/,
  /^umask 077$/,
  /^\) <\/dev\/null$/,
  /^printf '\\n@pitrtools (?<nonce>[0-9a-f]{24}) %s\\n' "\$\?"$/,
];
export const openingLines = openingPatterns.length;

/** Reads the lines of an opening as they come. `index`: from 0. @returns undefined if this is no opening */
export function readOpening(line: string, index: number): { readonly nonce: string | undefined } | undefined {
  const match = openingPatterns[index]?.exec(line);
  return match ? { nonce: match.groups?.['nonce'] } : undefined;
}

export function endLine(nonce: string, status: number, served?: Served): string {
  const more = served === undefined ? '' : ` ${servesWord} ${JSON.stringify(served)}`;
  return `\n${marker} ${nonce} ${status}${more}\n`;
}

/** Reads what follows the status. Throws if that cannot be understood. @returns undefined after a shell's answer */
export function readServed(words: readonly string[]): Served | undefined {
  const [word, ...rest] = words;
  if (word !== servesWord) return undefined;
  return checkFields(JSON.parse(rest.join(' ')), servedFields);
}

const typed = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word));

/** The options in authorized_keys there, before a key with these rights. */
export function keyOptions({ program, ini }: Pick<Served, 'program' | 'ini'>, roles: boolean): string {
  const words = [typed(program), '-C', typed(ini), '--serve', ...(roles ? ['--roles'] : [])];
  // sshd takes a backslash before a double quote for a part of the value, and no other.
  return `restrict,command="${words.join(' ').replaceAll('"', '\\"')}"`;
}
