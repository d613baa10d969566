import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Table {
  readonly title: string;
  /** One or two sentences about what was done and how it was measured. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Every single measurement, for readers who want to evaluate them differently. */
  readonly samples: unknown;
}

export interface Report {
  readonly about: Readonly<Record<string, string>>;
  readonly tables: readonly Table[];
}

export function seconds(value: number | undefined): string {
  return fixed(value, 2, ' s');
}

export function milliseconds(value: number | undefined): string {
  return fixed(value, value !== undefined && value < 10 ? 2 : 0, ' ms');
}

export function megabytes(value: number | undefined): string {
  return fixed(value, 0, ' MB');
}

export function ratio(value: number | undefined): string {
  return fixed(value, 2, '');
}

function fixed(value: number | undefined, digits: number, unit: string): string {
  return value === undefined || Number.isNaN(value) ? '–' : `${value.toFixed(digits)}${unit}`;
}

function markdownOf(report: Report): string {
  const about = Object.entries(report.about).map(([name, value]) => `- ${name}: ${value}`);
  return [`# Benchmark of WAL shipping`, '', ...about, ...report.tables.map(tableText), ''].join('\n');
}

export function tableText(table: Table): string {
  const rows = [table.columns, ...table.rows];
  const widths = table.columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [
    '',
    `## ${table.title}`,
    '',
    table.note,
    '',
    line(table.columns),
    rule,
    ...table.rows.map(line),
  ].join('\n');
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

export function saveReport(report: Report, directory: string): void {
  writeFileSync(join(directory, 'bench.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(directory, 'bench.md'), markdownOf(report));
}
