import Table from 'cli-table3';
import { durationText } from '../../amounts.ts';
import { quoted } from '../../system/printable.ts';
import { unknownFacts } from '../fact.ts';
import { bySeverity, type Finding, type Level, worstOf } from '../finding.ts';
import type { Section, StatusReport } from '../report.ts';

/** The terminal; without one, lines are not broken and there is no colour. */
export interface Terminal {
  readonly columns: number | undefined;
  readonly hasColour: boolean;
}

const colours = { ok: 32, unknown: 35, warning: 33, critical: 31 } as const satisfies Record<Level, number>;

function coloured(text: string, level: Level, { hasColour }: Terminal): string {
  return hasColour ? `\u001B[${colours[level]}m${text}\u001B[0m` : text;
}

const noFrame = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

const gap = 2;
const longestCell = 2000;
const narrowest = 8;

/** The widest columns give way until the table fits. */
export function fittingWidths(natural: readonly number[], columns: number): number[] {
  const widths = [...natural];
  for (;;) {
    const surplus = widths.reduce((sum, width) => sum + width, 0) - columns;
    const widest = Math.max(...widths);
    if (surplus <= 0 || widest <= narrowest) return widths;
    const second = Math.max(narrowest, ...widths.filter((width) => width < widest));
    const atWidest = widths.filter((width) => width === widest).length;
    const less = Math.min(widest - second || 1, Math.ceil(surplus / atWidest));
    for (const [index, width] of widths.entries()) if (width === widest) widths[index] = widest - less;
  }
}

/** Characters that fill two columns of a terminal each. Most of those beyond 16 bits do, and have a length of two. */
const wide =
  /[\p{scx=Han}\p{scx=Hangul}\p{scx=Hiragana}\p{scx=Katakana}\p{Emoji_Presentation}\u3000-\u303E\uFF01-\uFF60\uFFE0-\uFFE6]/gu;

function widthOf(text: string): number {
  return text.replaceAll(wide, '  ').length;
}

/** A word that is wider than its column would be cut off: it continues on the next line. */
function broken(cell: string, most: number): string {
  let result = '';
  let width = 0;
  for (const character of cell) {
    const more = widthOf(character);
    const ends = character === ' ';
    if (!ends && width + more > most) {
      result += ' ';
      width = 0;
    }
    result += character;
    width = ends ? 0 : width + more;
  }
  return result;
}

/** Its lines; foreign text in it is escaped. Without `columns` no line is broken. */
export function tableOf(rows: readonly (readonly string[])[], columns: number | undefined): string[] {
  const safe = rows.map((row) => row.map((cell) => quoted(cell, longestCell)));
  const count = Math.max(...safe.map((row) => row.length));
  const natural = Array.from({ length: count }, (_, index) =>
    Math.max(...safe.map((row) => widthOf(row[index] ?? '') + gap)),
  );
  const widths = columns === undefined ? natural : fittingWidths(natural, columns - 1);
  const table = new Table({
    chars: noFrame,
    style: { 'padding-left': 0, 'padding-right': gap, head: [], border: [], compact: true },
    wordWrap: true,
    colWidths: widths,
  });
  for (const row of safe) table.push(widths.map((width, index) => broken(row[index] ?? '', width - gap)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

function sectionLines({ title, head, rows }: Section, columns: number | undefined): string[] {
  if (rows.length === 0) return [];
  const inner = columns === undefined ? undefined : columns - gap;
  const lines = tableOf(head === undefined ? rows : [head, ...rows], inner);
  return ['', `${title}:`, ...lines.map((line) => (line === '' ? '' : `${' '.repeat(gap)}${line}`))];
}

/** Tables alone. */
export function tablesView(sections: readonly Section[], { columns }: Terminal): string {
  return sections
    .flatMap((section) => sectionLines(section, columns))
    .join('\n')
    .trimStart();
}

function findingRows({ level, message, sinceMs, hint }: Finding, atMs: number): string[][] {
  const since =
    sinceMs === undefined || sinceMs > atMs ? '' : ` (for ${durationText((atMs - sinceMs) / 1000)})`;
  return [
    [level.toUpperCase(), `${message}${since}`],
    ['', `→ ${hint}`],
  ];
}

function findingLines(report: StatusReport, terminal: Terminal): string[] {
  const { findings, atMs } = report;
  return bySeverity(findings).flatMap((finding) =>
    tableOf(findingRows(finding, atMs), terminal.columns).map((line, index) =>
      index === 0 ? line.replace(/^\S+/, (word) => coloured(word, finding.level, terminal)) : line,
    ),
  );
}

const summaries = {
  ok: 'all is well',
  unknown: 'not all is known',
  warning: 'needs attention',
  critical: 'needs attention now',
} as const satisfies Record<Level, string>;

/** Why a table above says unknown; the same reason is shown once. */
function notKnown({ facts }: StatusReport): Section {
  const unknown = unknownFacts(facts);
  const rows = [...new Set(unknown.map(({ reason }) => reason))].map((reason) => {
    const same = unknown.filter((one) => one.reason === reason);
    return [same.map(({ path }) => path).join(', '), reason];
  });
  return { title: 'Not known', rows };
}

/** For a person: first whether all is well, then each thing that is not, with its way out, then the facts. */
export function peopleView(report: StatusReport, terminal: Terminal): string {
  const { host, program, findings, sections } = report;
  const level = worstOf(findings);
  const lines = [
    `${quoted(host)} (${program}): ${coloured(summaries[level], level, terminal)}`,
    ...findingLines(report, terminal),
    ...[...sections, notKnown(report)].flatMap((section) => sectionLines(section, terminal.columns)),
  ];
  return lines.join('\n');
}
