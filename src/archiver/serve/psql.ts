/** A session of psql for a restricted key: the other end names the statements, and their text is made here. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, PitrError } from '../../errors.ts';
import { findHelpers, installedHelpersSql } from '../../postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../../postgres/capabilities.ts';
import { readStatement } from '../../postgres/statements.ts';
import { parseVersion } from '../../postgres/version.ts';
import { describeResult, type Session, succeeded } from '../../system/command.ts';
import { requireProgram } from '../../system/find-program.ts';
import { limitedLines } from '../../system/input-lines.ts';
import { bareOutput, psqlWords, startScript, statementText } from '../../system/psql.ts';
import type { PsqlTarget } from '../../system/psql-failure.ts';
import { readStatementLine } from '../../system/wire-words.ts';
import type { PsqlValues } from '../../verbs/data-requests.ts';
import type { KeyInput } from '../../verbs/serve-key.ts';
import type { ArchiverDeps } from '../deps.ts';
import { serverReason } from './checks.ts';

const longestLine = 4096;
const helperLimitMs = 30_000;
/** For the end of a statement whose client has gone. */
const abandonedMs = 10_000;
/** As psql says that there is no server. */
const noConnection = 2;
const refusedStatus = 3;

interface Talk {
  readonly deps: ArchiverDeps;
  readonly io: KeyInput;
  readonly target: PsqlTarget;
  readonly capabilities: Capabilities;
  readonly field: string;
  readonly record: string;
  /** The schema of the helper functions, once it was asked for. */
  helperSchema?: string | undefined;
}

async function capabilitiesHere(pgdata: string): Promise<Capabilities> {
  const path = join(pgdata, 'PG_VERSION');
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new PitrError(`cannot read "${path}"`, { detail: messageOf(error), cause: error });
  });
  return capabilitiesOf(parseVersion(text));
}

/**
 * Functions of these names in another schema may belong to anybody, who would get the rights of the role that calls them
 * for a backup.
 */
async function askHelperSchema({ deps, target }: Talk): Promise<string | undefined> {
  const { psql, user, port, database, host } = target;
  const shape = bareOutput('\u001F', '\u001E');
  const connection = ['-U', user, '-p', String(port), '-d', database, '-h', host];
  const result = await deps.run(
    { program: psql.program, args: [...psql.args, ...shape, ...connection, '-c', installedHelpersSql] },
    { limitMs: helperLimitMs, env: { PGCONNECT_TIMEOUT: '10', PGAPPNAME: 'pitrtools' } },
  );
  if (!succeeded(result)) {
    deps.log.debug(describeResult(result));
    return undefined;
  }
  const rows = result.stdout.replace(/\n$/, '').split('\u001E');
  const helpers = findHelpers(rows.map((row) => row.split('\u001F')));
  return helpers.kind === 'found' ? helpers.schema : undefined;
}

/** The text for psql, or why there is none. */
async function textFor(
  talk: Talk,
  line: string,
): Promise<{ readonly text: string } | { readonly reason: string }> {
  const read = readStatementLine(line);
  if (read === undefined) return { reason: 'only statements of pitrtools can be asked for, by their names' };
  const statement = readStatement(read.statement, talk.capabilities);
  if (statement.kind === 'refused') return { reason: statement.reason };
  const { helperSchema, sql } = statement;
  if (helperSchema !== undefined) {
    talk.helperSchema ??= await askHelperSchema(talk);
    if (talk.helperSchema !== helperSchema)
      return { reason: `schema ${helperSchema} is not that of the helper functions` };
  }
  return { text: statementText(sql, read.nonce) };
}

async function passOn(talk: Talk, session: Session, refuse: Refuse): Promise<number | undefined> {
  for await (const line of limitedLines(talk.io.input, longestLine)) {
    const asked = await textFor(talk, line);
    if ('reason' in asked) {
      await refuse(line, asked.reason);
      return refusedStatus;
    }
    session.write(asked.text);
    await session.whenRoom();
  }
  return undefined;
}

/** Says and logs that something was refused. */
export type Refuse = (asked: string, reason: string) => Promise<void>;

/**
 * Nobody waits for the statement that still runs, and it may never end: one that waits for a lock, or for WAL to be
 * archived. psql passes an interrupt on to the server; killed alone, it would leave the statement there.
 */
async function endAbandoned({ pid, kill, close, ended }: Session, waitMs: number): Promise<void> {
  const endsWithin = () => Promise.race([ended.then(() => true), pause(waitMs, false, { ref: false })]);
  close();
  if (await endsWithin()) return;
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGINT');
  } catch {
    // It has ended meanwhile.
  }
  if (!(await endsWithin())) kill();
}

async function converse(talk: Talk, refuse: Refuse, waitMs: number): Promise<number> {
  const { io, target } = talk;
  const session = io.startSession(
    { program: '/bin/sh', args: ['-c', `exec ${startScript(psqlWords(target, talk.field, talk.record))}`] },
    {
      onLine: (line) => {
        io.write(`${line}\n`);
        const room = io.whenRoom();
        if (room !== undefined) session.holdOutput(room);
      },
      onErrorLine: (line) => {
        io.writeError(`${line}\n`);
      },
    },
  );
  const refused = passOn(talk, session, refuse).then(
    (status) => {
      if (status === undefined) void endAbandoned(session, waitMs);
      else session.kill();
      return status;
    },
    // Our input was closed, because psql has ended; or the connection has broken.
    () => {
      void endAbandoned(session, waitMs);
      return undefined;
    },
  );
  const ended = await session.ended;
  const status = await Promise.race([refused, Promise.resolve(undefined)]);
  return status ?? (ended.kind === 'exited' ? ended.code : noConnection);
}

/** @returns the exit status */
export async function servePsql(
  deps: ArchiverDeps,
  io: KeyInput,
  { address, port, user, database, field, record }: PsqlValues,
  refuse: Refuse,
  waitMs = abandonedMs,
): Promise<number> {
  const { settings } = deps;
  const reason = await serverReason(deps, { address, port }, true);
  if (reason !== undefined) {
    await refuse(`psql ${address} ${port}`, reason);
    return noConnection;
  }
  const psql = await requireProgram('psql', settings.psql, settings.includepath);
  const target = { psql, host: address, port, user, database };
  const capabilities = await capabilitiesHere(settings.pgdata);
  return converse({ deps, io, target, capabilities, field, record }, refuse, waitMs);
}
