import { parse } from 'ini';
import { type ContinuedLine, type EntryLine, type LogicalLine, readLogicalLines } from './ini-lines.ts';
import type { Problem } from './problem.ts';

export interface IniEntry {
  /** Lower case; unchanged in a section whose keys are paths. */
  readonly key: string;
  /** The value before interpolation. */
  readonly value: string;
  readonly line: number;
  readonly continued: readonly ContinuedLine[];
}

interface IniSection {
  readonly name: string;
  readonly line: number;
  /** By key, in the file's order. */
  readonly entries: ReadonlyMap<string, IniEntry>;
}

export interface IniText {
  readonly sections: ReadonlyMap<string, IniSection>;
  readonly problems: readonly Problem[];
}

export interface IniOptions {
  /** Sections whose keys are paths: their case is kept. */
  readonly pathSections?: readonly string[];
}

interface PlacedEntry extends EntryLine {
  readonly section: string;
}

interface PlacedLines {
  readonly headers: Map<string, number>;
  readonly entries: Map<string, PlacedEntry>;
  readonly problems: Problem[];
}

/**
 * Parses an INI file in Python's ConfigParser dialect. The `ini` package does not read that dialect and changes some
 * values (quotes, `;`, dots in section names, `true`). We therefore give it lines in a form that it cannot misread;
 * line numbers come from our own reading.
 */
export function parseIniText(text: string, options: IniOptions = {}): IniText {
  const { lines, problems } = readLogicalLines(text, options.pathSections);
  const placed = placeLines(lines, options.pathSections ?? []);
  return {
    sections: readSections(parse(normalise(placed)), placed),
    problems: [...problems, ...placed.problems],
  };
}

/** Gives each entry its section and its key's final case, and reports duplicates. */
function placeLines(lines: readonly LogicalLine[], pathSections: readonly string[]): PlacedLines {
  const placed: PlacedLines = { headers: new Map(), entries: new Map(), problems: [] };
  let section = 'DEFAULT';
  for (const item of lines) {
    if (item.kind === 'section') {
      section = item.name;
      placeHeader(placed, item.name, item.line);
    } else {
      const key = pathSections.includes(section) ? item.key : item.key.toLowerCase();
      placeEntry(placed, { ...item, key, section });
    }
  }
  return placed;
}

function placeHeader(placed: PlacedLines, name: string, line: number): void {
  const first = placed.headers.get(name);
  if (first === undefined) placed.headers.set(name, line);
  else placed.problems.push({ line, message: `section [${name}] is already on line ${first}` });
}

function placeEntry(placed: PlacedLines, entry: PlacedEntry): void {
  const id = entryId(entry.section, entry.key);
  const first = placed.entries.get(id);
  if (first === undefined) placed.entries.set(id, entry);
  else placed.problems.push({ line: entry.line, message: `"${entry.key}" is already on line ${first.line}` });
}

function entryId(section: string, key: string): string {
  return `${encode(section)} ${encode(key)}`;
}

function normalise(placed: PlacedLines): string {
  const sections = new Set([...placed.headers.keys(), ...[...placed.entries.values()].map((e) => e.section)]);
  const blocks = [...sections].map((section) => {
    const entries = [...placed.entries.values()].filter((entry) => entry.section === section);
    const lines = entries.map((entry) => `${encode(entry.key)}=${encode(entry.value)}`);
    return [`[${encode(section)}]`, ...lines].join('\n');
  });
  return blocks.join('\n');
}

function readSections(parsed: Record<string, unknown>, placed: PlacedLines): Map<string, IniSection> {
  const sections = new Map<string, IniSection>();
  for (const [encodedName, block] of Object.entries(parsed)) {
    const name = decode(encodedName);
    const entries = new Map<string, IniEntry>();
    for (const [encodedKey, value] of Object.entries(block as Record<string, string>)) {
      const key = decode(encodedKey);
      const { line, continued } = placed.entries.get(entryId(name, key)) ?? { line: 1, continued: [] };
      entries.set(key, { key, value: decode(value), line, continued });
    }
    sections.set(name, { name, line: placed.headers.get(name) ?? 1, entries });
  }
  return sections;
}

/**
 * A form in which nothing has a meaning for `ini`: letters, digits, `_`, `-` and `%`. The leading letter
 * distinguishes `__proto__`, `true` and numbers from values with those meanings.
 */
function encode(text: string): string {
  const escape = (unit: string): string => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `t${text.replace(/[^A-Za-z0-9_-]/g, escape)}`;
}

function decode(encoded: string): string {
  return encoded
    .slice(1)
    .replace(/%([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}
