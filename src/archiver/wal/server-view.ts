import type { Archiving } from '../../config/archive-command.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { findProgram } from '../../system/find-program.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { bareOutput, type Rows } from '../../system/psql.ts';
import type { ArchiverDeps } from '../deps.ts';

/** A row of pg_stat_archiver. Names and times are empty if there was none yet; times as the server writes them. */
export interface ArchiverStatistics {
  readonly archived: number;
  readonly lastArchived: string;
  readonly archivedAt: string;
  readonly failed: number;
  readonly lastFailed: string;
  readonly failedAt: string;
}

/** The archiving settings and results that this host's server reports. */
export type ServerView =
  | {
      readonly kind: 'seen';
      readonly archiving: Archiving;
      /** From 9.4. */
      readonly statistics: ArchiverStatistics | undefined;
      readonly ask: Ask;
    }
  | { readonly kind: 'not-running' }
  | { readonly kind: 'unknown'; readonly reason: string };

const limitMs = 10_000;
const field = '\u001F';
const record = '\u001E';
const settingsSql =
  "SELECT name, setting FROM pg_settings WHERE name IN ('archive_mode', 'archive_command', 'archive_library')";
const statisticsSql =
  'SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time FROM pg_stat_archiver';

type Answer =
  { readonly kind: 'rows'; readonly rows: Rows } | { readonly kind: 'none'; readonly reason: string };
export type Ask = (sql: string) => Promise<Answer>;

/** Host and port come from the INI file, otherwise from postmaster.pid (9.1 and later), otherwise from psql itself. */
async function connectionWords(deps: ArchiverDeps): Promise<string[] | undefined> {
  const { pgdata, port } = deps.settings;
  const postmaster = await readPostmaster(pgdata);
  if (postmaster.kind !== 'running') return undefined;
  const address = postmaster.listenAddress === '*' ? 'localhost' : postmaster.listenAddress;
  const host = postmaster.socketDirectory ?? address;
  const at = port ?? postmaster.port;
  return [...(host === undefined ? [] : ['-h', host]), ...(at === undefined ? [] : ['-p', String(at)])];
}

async function askBy(
  deps: ArchiverDeps,
  program: string,
  connection: readonly string[],
  database: string,
  sql: string,
): Promise<Answer> {
  const shape = bareOutput(field, record);
  const args = [...deps.settings.psql.args, ...shape, ...connection, '-d', database, '-c', sql];
  const result = await deps.run({ program, args }, { limitMs });
  if (!succeeded(result)) return { kind: 'none', reason: describeResult(result) };
  const text = result.stdout.replace(/\n$/, '');
  return { kind: 'rows', rows: text === '' ? [] : text.split(record).map((row) => row.split(field)) };
}

/** The database of the INI file; if it names none, one that exists. */
async function chooseDatabase(deps: ArchiverDeps, program: string, connection: readonly string[]) {
  const { dbname } = deps.settings;
  const databases = dbname === undefined ? ['postgres', 'template1'] : [dbname];
  let reason = '';
  for (const database of databases) {
    const ask: Ask = (sql) => askBy(deps, program, connection, database, sql);
    const answer = await ask(settingsSql);
    if (answer.kind === 'rows') return { ask, rows: answer.rows };
    reason ||= answer.reason;
  }
  return { reason };
}

async function statisticsBy(ask: Ask): Promise<ArchiverStatistics | undefined> {
  const answer = await ask(statisticsSql);
  const [row] = answer.kind === 'rows' ? answer.rows : [];
  if (row === undefined) return undefined;
  const [archived, lastArchived = '', archivedAt = '', failed, lastFailed = '', failedAt = ''] = row;
  return {
    archived: Number(archived),
    lastArchived,
    archivedAt,
    failed: Number(failed),
    lastFailed,
    failedAt,
  };
}

export function describeStatistics(statistics: ArchiverStatistics): string {
  const { archived, lastArchived, archivedAt, failed, lastFailed, failedAt } = statistics;
  const good = lastArchived === '' ? 'none yet' : `the last was ${lastArchived} at ${archivedAt}`;
  const bad = lastFailed === '' ? 'none' : `the last was ${lastFailed} at ${failedAt}`;
  return `pg_stat_archiver: ${archived} archived (${good}), ${failed} failures (${bad})`;
}

type Reached =
  | { readonly kind: 'reached'; readonly ask: Ask; readonly rows: Rows }
  | Exclude<ServerView, { readonly kind: 'seen' }>;

/** Logs in to the server of `pgdata`, by psql, as the user who runs this program. */
async function reachServer(deps: ArchiverDeps): Promise<Reached> {
  const connection = await connectionWords(deps);
  if (connection === undefined) return { kind: 'not-running' };
  const { psql, includepath } = deps.settings;
  const program = await findProgram(psql.program, includepath);
  if (program === undefined) return { kind: 'unknown', reason: `there is no program "${psql.program}"` };
  const chosen = await chooseDatabase(deps, program, connection);
  if ('reason' in chosen) return { kind: 'unknown', reason: chosen.reason };
  return { kind: 'reached', ...chosen };
}

/** The rows of one statement. */
export async function rowsOfServer(deps: ArchiverDeps, sql: string): Promise<Answer> {
  const reached = await reachServer(deps);
  if (reached.kind === 'reached') return reached.ask(sql);
  return { kind: 'none', reason: reached.kind === 'unknown' ? reached.reason : 'the server does not run' };
}

export async function viewServer(deps: ArchiverDeps): Promise<ServerView> {
  const chosen = await reachServer(deps);
  if (chosen.kind !== 'reached') return chosen;
  const values = new Map(chosen.rows.map(([name, value]) => [name, value ?? '']));
  return {
    kind: 'seen',
    archiving: {
      archiveMode: values.get('archive_mode') ?? '',
      archiveCommand: values.get('archive_command') ?? '',
      archiveLibrary: values.get('archive_library') ?? '',
    },
    statistics: await statisticsBy(chosen.ask),
    ask: chosen.ask,
  };
}
