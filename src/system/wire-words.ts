/** Words without blanks on a line that asks another host for something. */
import type { NamedStatement } from '../postgres/statements.ts';

/** Each character stands for one byte (latin1) or is ASCII. An empty text is `%`: it would be lost between two blanks. */
export function encodeBytes(bytes: string): string {
  if (bytes === '') return '%';
  return bytes.replaceAll(
    /[^A-Za-z0-9._/-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** Undefined if no `encodeBytes` writes this. */
export function decodeBytes(word: string): string | undefined {
  if (word === '%') return '';
  if (!/^(?:[A-Za-z0-9._/-]|%[0-9A-F]{2})+$/.test(word)) return undefined;
  return word.replaceAll(/%([0-9A-F]{2})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

const toBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const fromBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

/** Any text. */
export function encodeText(text: string): string {
  return encodeBytes(toBytes(text));
}

/** Undefined if no `encodeText` writes this. */
export function decodeText(word: string): string | undefined {
  const bytes = decodeBytes(word);
  if (bytes === undefined) return undefined;
  const text = fromBytes(bytes);
  return toBytes(text) === bytes ? text : undefined;
}

/** Asks the psql of a restricted key for a statement; its answer ends with a line that is the nonce. */
export function statementLine(nonce: string, { name, words }: NamedStatement): string {
  return `${[nonce, name, ...words.map(encodeText)].join(' ')}\n`;
}

/** Undefined if this is no such line. */
export function readStatementLine(
  line: string,
): { readonly nonce: string; readonly statement: NamedStatement } | undefined {
  const [nonce = '', name = '', ...rest] = line.split(' ');
  const words = rest.map(decodeText);
  if (!/^[0-9a-f]{24}$/.test(nonce) || words.includes(undefined)) return undefined;
  return { nonce, statement: { name, words: words as string[] } };
}
