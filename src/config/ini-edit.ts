/** Changes one value in the text of an INI file. Every other byte stays: comments, order, blanks, line ends. Pure. */
import { type EntryLine, type LogicalLine, readLogicalLines } from './ini-lines.ts';

export type Edit =
  | { readonly kind: 'changed'; readonly text: string; readonly line: number; readonly before: string }
  /** The file has this value already. */
  | { readonly kind: 'unchanged' }
  /** The section has no such key. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'impossible'; readonly reason: string };

function entriesIn(lines: readonly LogicalLine[], section: string, key: string): readonly EntryLine[] {
  let current = 'DEFAULT';
  const found: EntryLine[] = [];
  for (const line of lines) {
    if (line.kind === 'section') current = line.name;
    else if (current === section && line.key.toLowerCase() === key) found.push(line);
  }
  return found;
}

/** Key and separator, value, and what follows it: blanks and a comment. As `ini-lines.ts` reads a line. */
const entryShape = /^(\uFEFF?\s*[^:=]*[:=][^\S\r\n]*)(.*?)([^\S\r\n]*(?:\s;.*)?)$/s;

/** A `%` would begin a reference to another key. */
function writtenAs(value: string): string {
  return value.replaceAll('%', '%%');
}

/** A safeguard: reads the new text, in which nothing else may have changed. */
function differsOnlyBy(before: readonly LogicalLine[], after: readonly LogicalLine[], changed: EntryLine) {
  return (
    before.length === after.length &&
    before.every((line, index) => {
      const wanted = line.line === changed.line ? changed : line;
      return JSON.stringify(wanted) === JSON.stringify(after[index]);
    })
  );
}

/**
 * @param key in lower case
 * @param value on one line, without blanks at its ends
 */
export function editIniValue(text: string, section: string, key: string, value: string): Edit {
  const { lines } = readLogicalLines(text);
  const [entry, second] = entriesIn(lines, section, key);
  if (entry === undefined) return { kind: 'absent' };
  if (second !== undefined)
    return { kind: 'impossible', reason: `"${key}" is on line ${entry.line} and on line ${second.line}` };
  const written = writtenAs(value);
  if (entry.value === written) return { kind: 'unchanged' };
  if (entry.continued.length > 0)
    return {
      kind: 'impossible',
      reason: `the value of "${key}" continues on the line after line ${entry.line}`,
    };
  // Line ends are kept as separators of their own.
  const parts = text.split(/(\r\n|\n|\r)/);
  const at = 2 * (entry.line - 1);
  const [, head = '', , tail = ''] = entryShape.exec(parts[at] ?? '') ?? [];
  parts[at] = `${head}${written}${tail}`;
  const edited = parts.join('');
  const wanted = { ...entry, value: written };
  if (head === '' || !differsOnlyBy(lines, readLogicalLines(edited).lines, wanted))
    return { kind: 'impossible', reason: `line ${entry.line} has a form that cannot be changed safely` };
  return { kind: 'changed', text: edited, line: entry.line, before: entry.value };
}

/** Adds a key behind another one of the same section, written as that one is. The key must not be there. */
export function insertIniValue(
  text: string,
  section: string,
  after: string,
  key: string,
  value: string,
): Edit {
  const [neighbour] = entriesIn(readLogicalLines(text).lines, section, after);
  if (neighbour === undefined) return { kind: 'absent' };
  const parts = text.split(/(\r\n|\n|\r)/);
  const at = 2 * (neighbour.line - 1) + 2 * neighbour.continued.length;
  const shape = /^\uFEFF?(\s*)[^:=]*?(\s*[:=][^\S\r\n]*)/.exec(parts[2 * (neighbour.line - 1)] ?? '');
  const [, indent = '', separator = ': '] = shape ?? [];
  const line = `${indent}${key}${separator}${writtenAs(value)}`;
  const end = parts[at + 1] ?? '\n';
  const edited = [...parts.slice(0, at + 1), end, line, ...parts.slice(at + 1)].join('');
  const [added] = entriesIn(readLogicalLines(edited).lines, section, key);
  if (added?.value !== writtenAs(value))
    return { kind: 'impossible', reason: `"${key}" cannot be added behind line ${neighbour.line}` };
  return { kind: 'changed', text: edited, line: added.line, before: '' };
}
