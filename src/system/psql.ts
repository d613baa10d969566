import { randomBytes } from 'node:crypto';
import { PitrError } from '../errors.ts';
import { sessionStatements } from '../postgres/session-settings.ts';
import { nameStatement } from '../postgres/statements.ts';
import { longestTimerMs } from './clock.ts';
import type { CommandResult, Session } from './command.ts';
import type { Log } from './log.ts';
import { psqlFailure, type PsqlTarget } from './psql-failure.ts';
import { shellQuote } from './shell-quote.ts';
import type { RemoteShell, RemoteWork, SshTarget } from './ssh.ts';
import { encodeText, statementLine } from './wire-words.ts';

export type Rows = readonly (readonly string[])[];

/** One psql that stays connected: a non-exclusive backup must be started and stopped in one session. */
export interface PsqlSession {
  /**
   * Runs one or more SQL statements. Returns the rows of the last one that returns any, each an array of its fields
   * as text (NULL is ""). A server error, a lost session or the limit throws a PitrError and ends the session.
   */
  query(sql: string, limitMs: number): Promise<Rows>;
  /** Aborted, with a PitrError as its reason, as soon as the session is known to be lost, even while no statement runs. */
  readonly lost: AbortSignal;
}

/** psql prints the rows alone, with these separators, and never asks for anything. */
export function bareOutput(field: string, record: string): readonly string[] {
  return ['-X', '-A', '-t', '-q', '-w', '-F', field, '-R', record];
}

/** The words of the psql command; separators are random, because a file name may hold any character. */
export function psqlWords(target: PsqlTarget, field: string, record: string): readonly string[] {
  const { program, args } = target.psql;
  const connection = ['-U', target.user, '-p', String(target.port), '-d', target.database, '-h', target.host];
  return [program, ...args, ...bareOutput(field, record), '-v', 'ON_ERROR_STOP=1', ...connection];
}

/** psql has no option for either of the two variables. */
export function startScript(words: readonly string[]): string {
  return `env PGCONNECT_TIMEOUT=10 PGAPPNAME=pitrtools ${words.map(shellQuote).join(' ')}`;
}

/** Starts psql on the host that `target` is; without one on this host, to connect from here. */
export interface PsqlRunner {
  readonly start: RemoteShell['start'];
  readonly target?: SshTarget;
  /** Set where the key is restricted: then statements are asked for by their names. */
  readonly served?: RemoteShell['served'];
}

/** The request for a session of psql: the address, port, role and database, and two separators follow. */
export const psqlSessionWord = 'psql';

/** The two ways in which psql is asked for: its command, or the request of a restricted key. */
function psqlWork(target: PsqlTarget, field: string, record: string): RemoteWork {
  const { host: address, port, user, database } = target;
  return {
    script: startScript(psqlWords(target, field, record)),
    request: [
      psqlSessionWord,
      ...[address, String(port), user, database, field, record].map(encodeText),
    ].join(' '),
  };
}

/** The command that a person would type to do the same by hand. */
function printedCommand(runner: PsqlRunner, target: PsqlTarget): string {
  const psql = `${target.psql.program} -A -t -U${target.user} -p${target.port} -d${target.database} -h${target.host}`;
  if (runner.target === undefined) return `"${psql}"`;
  const { ssh, connectTimeoutS, user, host } = runner.target;
  return `${[ssh.program, ...ssh.args].join(' ')} -o ConnectTimeout=${connectTimeoutS} ${user}@${host} "${psql}"`;
}

/** An answer contains names, numbers and settings, perhaps of a hundred thousand tablespaces. */
const maxAnswerBytes = 16 * 1024 * 1024;

/** A statement for psql, and the line behind its answer. It is a statement, too, and not \\echo: psql flushes its output after a result. */
export function statementText(sql: string, nonce: string): string {
  return `${sql.replace(/;?\s*$/, ';')}\nSELECT '${nonce}';\n`;
}

interface Pending {
  readonly nonce: string;
  readonly lines: string[];
  /** The number of bytes that the answer may still have. */
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

/**
 * An idle psql does not notice that its server has gone, and some servers end idle sessions: we run a statement from
 * time to time.
 */
const beatMs = 5_000;
const beatLimitMs = 60_000;

/**
 * As the how-to prints it: a helper function in `public` is shown by its name alone. It is called with its schema all
 * the same.
 */
function shownQuery(sql: string): string {
  return sql.replaceAll('"public".cmd_', 'cmd_');
}

const loginLimitMs = 60_000;

/** One psql process and its statements, one after another. */
class Conversation {
  readonly #shell: PsqlRunner;
  readonly #target: PsqlTarget;
  readonly #log: Log;
  readonly #field = randomBytes(12).toString('hex');
  readonly #record = randomBytes(12).toString('hex');
  readonly #session: Session;
  readonly #lost = new AbortController();
  #pending: Pending | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #wasIn = false;
  #isClosing = false;
  #asked = 'the login';

  constructor(shell: PsqlRunner, target: PsqlTarget, log: Log) {
    this.#shell = shell;
    this.#target = target;
    this.#log = log;
    this.#session = shell.start(psqlWork(target, this.#field, this.#record), {
      onLine: (line) => {
        this.#take(line);
      },
      onErrorLine: (line) => {
        log.debug(`psql: ${line}`);
      },
    });
    void this.#session.ended.then((result) => {
      if (!this.#isClosing) this.#lose(this.#failure(result));
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Waits for its turn, because two callers may send statements at once.
   *
   * @param isOurs true for a statement that is of no interest to an operator
   */
  query(sql: string, limitMs: number, isOurs = false): Promise<Rows> {
    if (!isOurs)
      this.#log.debug(`executing query '${shownQuery(sql)}' by ${printedCommand(this.#shell, this.#target)}`);
    const turn = this.#last.then(() => this.#ask(sql, limitMs));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async prepare(): Promise<void> {
    for (const statement of sessionStatements(0)) await this.query(statement, loginLimitMs, true);
  }

  /** @returns the text that ends it */
  keepAlive(): () => void {
    const timer = setInterval(() => {
      if (this.#pending !== undefined || this.lost.aborted) return;
      this.query('SELECT 1', beatLimitMs, true).catch((error: unknown) => {
        if (!this.#isClosing) this.#lose(error);
      });
    }, beatMs);
    return () => {
      clearInterval(timer);
    };
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#session.close();
    this.#session.kill();
    await this.#session.ended;
  }

  #take(line: string): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    pending.leftBytes -= line.length + 1;
    if (line === pending.nonce) pending.done(pending.lines);
    else if (pending.leftBytes >= 0) pending.lines.push(line);
    // Its end determines the result.
    else this.#session.kill();
  }

  #lose(error: unknown): void {
    if (!this.#lost.signal.aborted) this.#lost.abort(error);
  }

  #failure(result: CommandResult): PitrError {
    const { target: over } = this.#shell;
    return psqlFailure({ result, over, target: this.#target, sql: this.#asked, wasIn: this.#wasIn });
  }

  /** The text for a statement, and for the line behind its answer. */
  #textOf(sql: string, nonce: string): string {
    if (this.#shell.served === undefined) return statementText(sql, nonce);
    const named = nameStatement(sql);
    if (named !== undefined) return statementLine(nonce, named);
    throw new PitrError('a restricted key cannot ask the primary for this', {
      detail: sql,
      hint: 'It needs a key with a shell there; doc/security.md says what each kind of key can do.',
    });
  }

  async #ask(sql: string, limitMs: number): Promise<Rows> {
    const nonce = randomBytes(12).toString('hex');
    const text = this.#textOf(sql, nonce);
    this.#asked = sql;
    const asked: Pending = { nonce, lines: [], leftBytes: maxAnswerBytes, done: () => undefined };
    const answer = new Promise<readonly string[]>((done) => {
      asked.done = done;
      this.#pending = asked;
      this.#session.write(text);
    });
    const lines = await race(answer, this.#session.ended, limitMs);
    this.#pending = undefined;
    if (lines.kind === 'answer') {
      this.#wasIn = true;
      return parseRows(lines.value, this.#field, this.#record);
    }
    this.#session.kill();
    if (asked.leftBytes < 0) {
      throw new PitrError('the answer of the primary is longer than any valid answer', {
        detail: sql,
      });
    }
    const result = lines.kind === 'ended' ? lines.value : await this.#session.ended;
    if (lines.kind === 'ended') throw this.#failure(result);
    throw new PitrError(`the primary did not answer within ${Math.round(limitMs / 1000)} s`, { detail: sql });
  }
}

/** Opens psql over the connection, passes it to `use`, and ends it. */
export async function withPsql<T>(
  shell: PsqlRunner,
  target: PsqlTarget,
  log: Log,
  use: (psql: PsqlSession) => Promise<T>,
): Promise<T> {
  const conversation = new Conversation(shell, target, log);
  const stopBeating = conversation.keepAlive();
  try {
    await conversation.prepare();
    return await use({
      query: (sql, limitMs) => conversation.query(sql, limitMs),
      lost: conversation.lost,
    });
  } finally {
    stopBeating();
    await conversation.close();
  }
}

type Raced<A, E> = { kind: 'answer'; value: A } | { kind: 'ended'; value: E } | { kind: 'limit' };

async function race<A, E>(answer: Promise<A>, ended: Promise<E>, limitMs: number): Promise<Raced<A, E>> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<Raced<A, E>>((resolve) => {
    timer = setTimeout(
      () => {
        resolve({ kind: 'limit' });
      },
      Math.min(limitMs, longestTimerMs),
    );
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
