import { exitCodes, PitrError } from './errors.ts';
import { endAllCommands } from './system/command.ts';
import { type Log, logFailure, textLog } from './system/log.ts';
import { partWithHooks } from './system/notify.ts';
import { quoted } from './system/printable.ts';

/** The arguments that the edge of a program passes to its `main`. */
export interface ProgramContext {
  readonly argv: readonly string[];
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP: finish or undo the present work, then return. */
  readonly signal: AbortSignal;
  /** Replaces the log that shows failures, once the INI file says which form it has. */
  useLog(log: Log): void;
}

export type Main = (context: ProgramContext) => Promise<number>;

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Call this before anything is read or written on behalf of the user. */
export function refuseRoot(): void {
  if (process.getuid?.() !== 0) return;
  throw new PitrError('this program must not be run as root', {
    hint: 'Run it as the user who owns the database cluster, for example: su - postgres',
    exitCode: exitCodes.refused,
  });
}

function abortOnSignals(): AbortController {
  const controller = new AbortController();
  for (const name of stopSignals) {
    process.on(name, () => {
      const reason = new PitrError(`stopped by ${name}`, { exitCode: exitCodes.interrupted });
      controller.abort(reason);
    });
  }
  return controller;
}

/**
 * Nagios and NRPE show standard output alone, and know no exit status above 3. Status 2, that of a wrong command line, is
 * critical to them.
 */
function answerNagios(error: unknown): number {
  const text = (error instanceof Error ? error.message : String(error)).replaceAll(/[|\n]/g, (mark) =>
    mark === '|' ? '/' : ' ',
  );
  process.stdout.write(`pitrtools UNKNOWN - ${quoted(text, 1000)}\n`);
  return 3;
}

/**
 * The edge of a program: turns signals into an AbortSignal, sets `process.exitCode` once, and is the only place that
 * catches everything. `main` answers requests that need no rights (help, version) before it calls `refuseRoot`.
 */
export async function runProgram(main: Main, argv: readonly string[]): Promise<void> {
  let log = textLog({ debug: false });
  const controller = abortOnSignals();
  const context: ProgramContext = {
    argv,
    signal: controller.signal,
    useLog: (next) => {
      log = next;
    },
  };
  // If the reader of our output goes away (a pager, a dead log collector), we must not abandon a half-finished
  // backup.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  try {
    process.exitCode = await main(context);
  } catch (error) {
    logFailure(log, error);
    process.exitCode = error instanceof PitrError ? error.exitCode : exitCodes.bug;
    if (argv.includes('--nagios')) process.exitCode = answerNagios(error);
  } finally {
    await partWithHooks();
    endAllCommands('SIGTERM');
  }
}
