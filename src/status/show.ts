/** Shows a report in the form that was asked for; --watch repeats it on the terminal. */
import type { Clock } from '../system/clock.ts';
import { writePublicly } from '../system/files.ts';
import { jsonLine } from '../system/json-document.ts';
import { worstOf } from './finding.ts';
import type { Section, StatusReport } from './report.ts';
import { jsonView } from './views/json.ts';
import { nagiosCode, nagiosView } from './views/nagios.ts';
import { peopleView, tablesView, type Terminal } from './views/people.ts';
import { prometheusView } from './views/prometheus.ts';

export type StatusForm =
  | { readonly kind: 'people' | 'json' | 'nagios' }
  /** To standard output if there is no file. */
  | { readonly kind: 'prometheus'; readonly file: string | undefined }
  | { readonly kind: 'watch'; readonly everyS: number };

export interface ShowDeps extends Pick<Clock, 'pause'> {
  readonly signal: AbortSignal;
}

/** The views have escaped what comes from elsewhere; colours must stay. */
function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function terminal(): Terminal {
  const { isTTY, columns } = process.stdout;
  const isColourRefused = (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
  return isTTY ? { columns, hasColour: !isColourRefused } : { columns: undefined, hasColour: false };
}

/** The alternate screen, without the cursor: at the end the terminal is as it was. */
const enter = '\u001B[?1049h\u001B[?25l';
const leave = '\u001B[?25h\u001B[?1049l';
const home = '\u001B[H';
const clearToEnd = '\u001B[K';
const clearBelow = '\u001B[J';

function screenOf(report: StatusReport): string {
  const rows = process.stdout.rows;
  const lines = peopleView(report, terminal()).split('\n');
  // A line more than fits would scroll the first one away.
  const shown = lines.slice(0, Math.max(1, rows - 1));
  return `${home}${shown.map((line) => `${line}${clearToEnd}\n`).join('')}${clearBelow}`;
}

async function watch(deps: ShowDeps, observe: () => Promise<StatusReport>, everyS: number): Promise<number> {
  if (!process.stdout.isTTY) {
    for (;;) {
      print(peopleView(await observe(), terminal()));
      if (!(await paused(deps, everyS))) return 0;
      print('');
    }
  }
  process.stdout.write(enter);
  try {
    for (;;) {
      process.stdout.write(screenOf(await observe()));
      if (!(await paused(deps, everyS))) return 0;
    }
  } finally {
    process.stdout.write(leave);
  }
}

/** False once the user has ended it: that is no failure. */
async function paused({ pause, signal }: ShowDeps, everyS: number): Promise<boolean> {
  try {
    await pause(everyS * 1000);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

/** Tables for a person. */
export function showTables(sections: readonly Section[]): void {
  print(tablesView(sections, terminal()));
}

/** One JSON object on one line; its strings are escaped as JSON has it. */
export function showJson(value: object): void {
  print(jsonLine(value));
}

/** @returns the exit status: that of Nagios for its form, otherwise 0, because the report could be made */
export async function showStatus(
  deps: ShowDeps,
  observe: () => Promise<StatusReport>,
  form: StatusForm,
): Promise<number> {
  if (form.kind === 'watch') return watch(deps, observe, form.everyS);
  const report = await observe();
  switch (form.kind) {
    case 'people':
      print(peopleView(report, terminal()));
      return 0;
    case 'json':
      print(jsonView(report));
      return 0;
    case 'nagios':
      print(nagiosView(report));
      return nagiosCode(worstOf(report.findings));
    case 'prometheus':
      if (form.file === undefined) process.stdout.write(prometheusView(report));
      else await writePublicly(form.file, prometheusView(report));
      return 0;
  }
}
