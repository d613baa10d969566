import type { Problem } from './problem.ts';

/** A line that continues the value of the key above it, because it is indented deeper than that key. */
export interface ContinuedLine {
  readonly line: number;
  readonly text: string;
}

interface SectionLine {
  readonly kind: 'section';
  readonly name: string;
  readonly line: number;
}

export interface EntryLine {
  readonly kind: 'entry';
  /** As written. */
  readonly key: string;
  /** Without comments and outer blanks; continuation lines are joined by newlines. */
  readonly value: string;
  readonly line: number;
  readonly continued: readonly ContinuedLine[];
}

export type LogicalLine = SectionLine | EntryLine;

export interface LogicalLines {
  readonly lines: readonly LogicalLine[];
  readonly problems: readonly Problem[];
}

/** The state while the file is read: the key whose value deeper lines continue. */
interface OpenEntry {
  readonly key: string;
  readonly line: number;
  readonly indent: number;
  readonly parts: string[];
  readonly continued: ContinuedLine[];
}

interface Reader {
  readonly lines: LogicalLine[];
  readonly problems: Problem[];
  readonly separator: (section: string) => RegExp[];
  section: string | undefined;
  entry: OpenEntry | undefined;
}

const anySeparator = /^(.*?)\s*[:=]\s*(.*)$/s;
/** A path may contain a colon. If keys are paths, a separator between blanks is therefore looked for first. */
const spacedSeparator = /^(.*?)\s+[:=]\s+(.*)$/s;

/**
 * Reads the lines of Python's ConfigParser dialect as Python 3 does. The file may be indented as a whole. A line that
 * is indented deeper than its key continues that key's value, also after blank lines and comments.
 *
 * @param pathSections sections whose keys are paths
 */
export function readLogicalLines(text: string, pathSections: readonly string[] = []): LogicalLines {
  const reader: Reader = {
    lines: [],
    problems: [],
    separator: (section) =>
      pathSections.includes(section) ? [spacedSeparator, anySeparator] : [anySeparator],
    section: undefined,
    entry: undefined,
  };
  const physicalLines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  physicalLines.forEach((raw, index) => {
    readLine(reader, raw, index + 1);
  });
  closeEntry(reader);
  return { lines: reader.lines, problems: reader.problems };
}

function readLine(reader: Reader, raw: string, line: number): void {
  if (/^\s*[;#]/.test(raw)) return;
  const text = raw.replace(/\s;.*$/s, '').trim();
  const indent = raw.search(/\S/);
  if (text === '') {
    reader.entry?.parts.push('');
  } else if (reader.entry !== undefined && indent > reader.entry.indent) {
    reader.entry.parts.push(text);
    reader.entry.continued.push({ line, text });
  } else {
    closeEntry(reader);
    readNewLine(reader, text, line, indent);
  }
}

function readNewLine(reader: Reader, text: string, line: number, indent: number): void {
  if (text.startsWith('[')) {
    readSectionHeader(reader, text, line);
    return;
  }
  if (reader.section === undefined) {
    reader.problems.push({ line, message: 'a key before any section: the file must begin with [DEFAULT]' });
    reader.section = 'DEFAULT';
  }
  const patterns = reader.separator(reader.section);
  const match = patterns.map((pattern) => pattern.exec(text)).find((found) => found !== null);
  const [, key = '', value = ''] = match ?? [];
  if (key === '') reader.problems.push({ line, message: 'neither "key: value", a [section] nor a comment' });
  // An unreadable line is opened as well: the lines that continue it are then not reported again.
  reader.entry = { key, line, indent, parts: [value], continued: [] };
}

function readSectionHeader(reader: Reader, text: string, line: number): void {
  const name = /^\[([^\]]*)\]$/.exec(text)?.[1]?.trim() ?? '';
  if (name === '') {
    reader.problems.push({ line, message: 'this section header is not of the form [NAME]' });
  }
  reader.section = name;
  reader.lines.push({ kind: 'section', name, line });
}

function closeEntry(reader: Reader): void {
  const { entry } = reader;
  reader.entry = undefined;
  if (entry === undefined || entry.key === '') return;
  const { key, line, continued } = entry;
  reader.lines.push({ kind: 'entry', key, line, continued, value: entry.parts.join('\n').trim() });
}
