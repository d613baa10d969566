import { PitrError } from '../errors.ts';
import { printable } from './printable.ts';

/**
 * Facts that belong to a message. JSON shows them as they are; the text form shows `detail` and `hint` in lines of
 * their own.
 */
type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Logs go to standard error, in the form of PostgreSQL's own client messages or as JSON. Reports for people go to
 * standard output.
 */
export interface Log {
  debug(message: string, facts?: Facts): void;
  notice(message: string, facts?: Facts): void;
  warning(message: string, facts?: Facts): void;
  error(message: string, facts?: Facts): void;
}

export interface LogOptions {
  readonly format: 'text' | 'json';
  readonly debug: boolean;
  readonly program: string;
  /** The beginning of each message, for a log to which nothing else adds the time. The JSON form has its own time. */
  readonly stamp?: (() => string) | undefined;
}

/** `2026-11-25 17:57:01.123 UTC`, as in PostgreSQL's own log. */
export function timeStamp(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', ' UTC');
}

type Write = (text: string) => void;

const toStderr: Write = (text) => {
  process.stderr.write(text);
};

export function textLog(options: Pick<LogOptions, 'debug' | 'stamp'>, write: Write = toStderr): Log {
  const begin = () => (options.stamp === undefined ? '' : `${options.stamp()} `);
  const line =
    (level: string) =>
    (message: string, { detail, hint }: Facts = {}) => {
      const more = `${detail === undefined ? '' : `DETAIL: ${detail}\n`}${hint === undefined ? '' : `HINT: ${hint}\n`}`;
      write(printable(`${begin()}${level}: ${message}\n${more}`));
    };
  return {
    debug: options.debug ? line('DEBUG') : () => undefined,
    notice: line('NOTICE'),
    warning: line('WARNING'),
    error: line('ERROR'),
  };
}

function printableFacts(facts: Facts): Facts {
  const show = (value: Facts[string]) => (typeof value === 'string' ? printable(value) : value);
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, show(value)]));
}

/** pino is loaded only for JSON: the text form must cost nothing per segment. */
async function jsonLog(options: LogOptions): Promise<Log> {
  const { pino } = await import('pino');
  const logger = pino(
    { level: options.debug ? 'debug' : 'info', base: { program: options.program, pid: process.pid } },
    pino.destination({ dest: 2, sync: true }),
  );
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, facts: Facts = {}) => {
      logger[level](printableFacts(facts), printable(message));
    };
  return { debug: line('debug'), notice: line('info'), warning: line('warn'), error: line('error') };
}

export async function openLog(options: LogOptions): Promise<Log> {
  return options.format === 'json' ? jsonLog(options) : textLog(options);
}

/** Shows a failure: a user's as message, detail and hint; a bug with its stack. */
export function logFailure(log: Log, thrown: unknown): void {
  if (thrown instanceof PitrError) {
    const { message, detail, hint, exitCode } = thrown;
    log.error(message, { detail, hint, exitCode });
    return;
  }
  const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  log.error(`this is a bug in pitrtools, please report it: ${stack}`);
}
