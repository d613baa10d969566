import { randomBytes } from 'node:crypto';
import { PitrError } from '../errors.ts';
import { describeResult, type CommandLine, type CommandResult } from './command.ts';
import type { Log } from './log.ts';
import { shellQuote } from './shell-quote.ts';
import type { RemoteShell, SshTarget } from './ssh.ts';

/** Where psql runs and what it connects to, as seen from the remote host. */
export interface PsqlTarget {
  readonly psql: CommandLine;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/** One psql that stays connected: a non-exclusive backup must be started and stopped in one session. */
export interface PsqlSession {
  /**
   * Runs one or more SQL statements; rows of the last ones that return any, each an array of its fields as text (NULL is "").
   * An error of the server, a lost session or the limit throws a PitrError, and the session is over.
   */
  query(sql: string, limitMs: number): Promise<readonly (readonly string[])[]>;
}

type Rows = readonly (readonly string[])[];

/** The words of the psql command; separators are random, because a file name may hold any character. */
function psqlWords(target: PsqlTarget, field: string, record: string): readonly string[] {
  const { program, args } = target.psql;
  const connection = ['-U', target.user, '-p', String(target.port), '-d', target.database, '-h', target.host];
  return [
    program,
    ...args,
    '-X',
    '-A',
    '-t',
    '-q',
    '-w',
    '-v',
    'ON_ERROR_STOP=1',
    '-F',
    field,
    '-R',
    record,
    ...connection,
  ];
}

/** psql has no option for either of the two variables. */
function startScript(words: readonly string[]): string {
  return `env PGCONNECT_TIMEOUT=10 PGAPPNAME=pitrtools ${words.map(shellQuote).join(' ')}`;
}

/** Starts psql on the host that `target` is; without one on this host, to connect from here. */
export interface PsqlRunner {
  readonly start: RemoteShell['start'];
  readonly target?: SshTarget;
}

/** The command as a person would type it to do the same by hand. */
function printedCommand(runner: PsqlRunner, target: PsqlTarget): string {
  const psql = `${target.psql.program} -A -t -U${target.user} -p${target.port} -d${target.database} -h${target.host}`;
  if (runner.target === undefined) return `"${psql}"`;
  const { ssh, connectTimeoutS, user, host } = runner.target;
  return `${[ssh.program, ...ssh.args].join(' ')} -o ConnectTimeout=${connectTimeoutS} ${user}@${host} "${psql}"`;
}

/** psql here is found before it is started: what fails is the connection. */
function localFailure(result: CommandResult, target: PsqlTarget, sql: string): PitrError {
  return new PitrError(
    `the primary ${target.host}:${target.port} did not do what role "${target.user}" asked`,
    {
      detail: `${describeResult(result)} (while running: ${sql})`,
      hint: `It must work by hand, without a password prompt: psql -h ${target.host} -p ${target.port} -U ${target.user} -d ${target.database}`,
    },
  );
}

function failure(runner: PsqlRunner, result: CommandResult, target: PsqlTarget, sql: string): PitrError {
  if (runner.target === undefined) return localFailure(result, target, sql);
  const missing = result.kind === 'exited' && (result.code === 127 || result.code === 126);
  const where = `${target.user}@${target.host}:${target.port}`;
  const what = missing
    ? `cannot run "${target.psql.program}" on ${runner.target.what}`
    : `psql on ${runner.target.what} (${where}) failed`;
  return new PitrError(what, {
    detail: `${describeResult(result)} (while running: ${sql})`,
    hint: missing
      ? 'Set r_psql: to the path of psql there.'
      : 'The connection must work there without a password prompt: use .pgpass or pg_hba.conf.',
  });
}

/** An answer holds names, numbers and settings: of a hundred thousand tablespaces, perhaps. */
const maxAnswerBytes = 16 * 1024 * 1024;

interface Pending {
  readonly nonce: string;
  readonly lines: string[];
  /** How much it may still say. */
  leftBytes: number;
  done: (lines: readonly string[]) => void;
}

function parseRows(lines: readonly string[], field: string, record: string): Rows {
  // Every row ends with a line feed of its own, so a row of one empty field is one empty line.
  if (lines.length === 0) return [];
  return lines
    .join('\n')
    .split(record)
    .map((row) => row.split(field));
}

/** Opens psql over the connection, hands it to `use`, and ends it. */
export async function withPsql<T>(
  shell: PsqlRunner,
  target: PsqlTarget,
  log: Log,
  use: (psql: PsqlSession) => Promise<T>,
): Promise<T> {
  const field = randomBytes(12).toString('hex');
  const record = randomBytes(12).toString('hex');
  let pending: Pending | undefined;
  const session = shell.start(startScript(psqlWords(target, field, record)), {
    onLine: (line) => {
      if (pending === undefined) return;
      pending.leftBytes -= line.length + 1;
      if (line === pending.nonce) pending.done(pending.lines);
      else if (pending.leftBytes >= 0) pending.lines.push(line);
      // Its end says what became of it.
      else session.kill();
    },
    onErrorLine: (line) => {
      log.debug(`psql: ${line}`);
    },
  });

  const query = async (sql: string, limitMs: number): Promise<Rows> => {
    const nonce = randomBytes(12).toString('hex');
    log.debug(`executing query '${sql}' by ${printedCommand(shell, target)}`);
    const asked: Pending = { nonce, lines: [], leftBytes: maxAnswerBytes, done: () => undefined };
    const answer = new Promise<readonly string[]>((done) => {
      asked.done = done;
      pending = asked;
      // A statement of its own, and not \echo: psql flushes its output after a result.
      session.write(`${sql.replace(/;?\s*$/, ';')}\nSELECT '${nonce}';\n`);
    });
    const lines = await race(answer, session.ended, limitMs);
    const { leftBytes } = asked;
    pending = undefined;
    if (lines.kind === 'answer') return parseRows(lines.value, field, record);
    session.kill();
    if (leftBytes < 0)
      throw new PitrError('the primary answered with more than anything that is asked of it', {
        detail: sql,
      });
    const result = lines.kind === 'ended' ? lines.value : await session.ended;
    if (lines.kind === 'ended') throw failure(shell, result, target, sql);
    throw new PitrError(`the primary did not answer within ${Math.round(limitMs / 1000)} s`, { detail: sql });
  };

  try {
    return await use({ query });
  } finally {
    session.close();
    session.kill();
    await session.ended;
  }
}

type Raced<A, E> = { kind: 'answer'; value: A } | { kind: 'ended'; value: E } | { kind: 'limit' };

async function race<A, E>(answer: Promise<A>, ended: Promise<E>, limitMs: number): Promise<Raced<A, E>> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<Raced<A, E>>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'limit' });
    }, limitMs);
  });
  try {
    return await Promise.race([
      answer.then((value): Raced<A, E> => ({ kind: 'answer', value })),
      ended.then((value): Raced<A, E> => ({ kind: 'ended', value })),
      limit,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
