/**
 * Writes a value into each of PostgreSQL's small languages such that it is read back unchanged. Text that a language
 * cannot represent is an error: a truncated value in a recovery setting would be found only during a failover.
 */
import { PitrError } from '../errors.ts';

/** A string literal that means the same whatever `standard_conforming_strings` says (8.4 on). */
export function sqlLiteral(value: string): string {
  refuse(value, '\0', 'an SQL literal');
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return value.includes('\\') ? `E${quoted}` : quoted;
}

export function sqlIdentifier(name: string): string {
  refuse(name, '\0', 'an SQL identifier');
  if (name === '') throw new PitrError('an SQL identifier cannot be empty');
  return `"${name.replaceAll('"', '""')}"`;
}

/** One value of a libpq connection string (manual, section "Connection Strings"). */
export function conninfoValue(value: string): string {
  refuse(value, '\0', 'a connection string');
  if (/^[A-Za-z0-9_./-]+$/.test(value)) return value;
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** `host=primary port=5432 …`, in the order given; parameters without a value are left out. */
export function conninfo(parameters: Readonly<Record<string, string | number | undefined>>): string {
  return Object.entries(parameters)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${conninfoValue(String(value))}`]))
    .join(' ');
}

/**
 * How a configuration file reads a quoted value:
 * - `parameter`: `postgresql.conf`, `postgresql.auto.conf`, and `recovery.conf` from 9.1;
 * - `doubled`: `recovery.conf` of 9.0, where a quote is doubled and a backslash is nothing special;
 * - `plain`: `recovery.conf` of 8.4, where the value ends at the next quote, whatever is before it.
 */
export type ValueSyntax = 'parameter' | 'doubled' | 'plain';

export function settingValue(value: string, syntax: ValueSyntax): string {
  refuse(value, '\0', 'a configuration file');
  if (syntax === 'parameter') return parameterValue(value);
  refuse(value, '\n', 'recovery.conf');
  if (syntax === 'doubled') return `'${value.replaceAll("'", "''")}'`;
  refuse(value, "'", 'recovery.conf of PostgreSQL 8.4');
  if (value === '') throw new PitrError('recovery.conf of PostgreSQL 8.4 cannot hold an empty value');
  return `'${value}'`;
}

/**
 * Up to 9.0 the server reads recovery.conf into a buffer of 1024 bytes, and takes the rest of a longer line for
 * another line.
 */
const longestOldLine = 1023;

/** `name = 'value'`, without a line feed. */
export function settingLine(name: string, value: string, syntax: ValueSyntax): string {
  const line = `${name} = ${settingValue(value, syntax)}`;
  if (syntax === 'parameter' || Buffer.byteLength(line) <= longestOldLine) return line;
  throw new PitrError(
    `recovery.conf of PostgreSQL 8.4 and 9.0 cannot hold a line as long as that of ${name}`,
    {
      detail: `It has ${Buffer.byteLength(line)} bytes; the server reads no more than ${longestOldLine}.`,
      hint: 'Choose shorter paths.',
    },
  );
}

function parameterValue(value: string): string {
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "''")
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
  return `'${escaped}'`;
}

/**
 * Text that must reach the shell unchanged through `archive_command`, `restore_command` or another parameter in which
 * PostgreSQL replaces `%p`, `%f` and `%r`.
 */
export function doublePercent(text: string): string {
  return text.replaceAll('%', '%%');
}

/** The message does not contain the value, because it may be a password. */
function refuse(value: string, character: string, place: string): void {
  if (!value.includes(character)) return;
  throw new PitrError(`${place} cannot hold a value with the character ${JSON.stringify(character)}`);
}
