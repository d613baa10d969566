/** The results of --check, for people and for programs, and its exit status. */
import { exitCodes } from '../errors.ts';
import { tableOf } from '../status/views/people.ts';
import { documentHead, type DocumentOrigin, jsonLine } from '../system/json-document.ts';
import { quoted } from '../system/printable.ts';
import { type CheckResult, overall, results } from './check.ts';

export interface CheckReport extends DocumentOrigin {
  readonly found: readonly CheckResult[];
}

/** Changes when a field is removed or changes its meaning; a new field does not change it. */
const jsonVersion = 1;
const words = { ok: 'ok', failed: 'FAILED', unknown: 'UNKNOWN', skipped: 'skipped' } as const;
const colours = { ok: 32, failed: 31, unknown: 35, skipped: 0 } as const;

function rowsOf({ result, name, about, says, hint }: CheckResult): string[][] {
  const rows = [[words[result], about === undefined ? name : `${name} ${about}`, says]];
  if (hint !== undefined) rows.push(['', '', `→ ${hint}`]);
  return rows;
}

/** How many there are of each kind: `2 failed, 14 ok`. */
function counted(found: readonly CheckResult[]): string {
  const parts = (
    ['failed', 'unknown', 'ok', 'skipped'] as const satisfies (typeof results)[number][]
  ).flatMap((result) => {
    const count = found.filter((one) => one.result === result).length;
    return count === 0 ? [] : [`${count} ${result}`];
  });
  return parts.join(', ');
}

export interface CheckTerminal {
  readonly columns: number | undefined;
  readonly hasColour: boolean;
}

export function checkView(report: CheckReport, { columns, hasColour }: CheckTerminal): string {
  const { program, host, found } = report;
  const lines = tableOf(found.flatMap(rowsOf), columns);
  const shown = lines.map((line) =>
    hasColour
      ? line.replace(/^(ok|FAILED|UNKNOWN)(?= )/, (word) => {
          const result = results.find((one) => words[one] === word) ?? 'skipped';
          return `\u001B[${colours[result]}m${word}\u001B[0m`;
        })
      : line,
  );
  return [...shown, `${quoted(host)} (${program} --check): ${counted(found)}`].join('\n');
}

/** One JSON object on one line. */
export function checkJson({ found, ...origin }: CheckReport): string {
  return jsonLine({
    ...documentHead(jsonVersion, origin),
    result: overall(found),
    checks: found,
  });
}

const codes = { ok: 0, failed: exitCodes.failure, unknown: exitCodes.notAllChecked } as const;

/** @returns the exit status */
export function showChecks(report: CheckReport, asJson: boolean): number {
  const { isTTY, columns } = process.stdout;
  const isColourRefused = (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
  const terminal = isTTY
    ? { columns, hasColour: !isColourRefused }
    : { columns: undefined, hasColour: false };
  process.stdout.write(`${asJson ? checkJson(report) : checkView(report, terminal)}\n`);
  return codes[overall(report.found)];
}
