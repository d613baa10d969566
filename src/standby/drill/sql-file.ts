/** The statements of `drill_sql`, and whether each gives true on the copy. */
import { readFile } from 'node:fs/promises';
import { messageOf } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import type { Server } from '../server/server.ts';
import { withLocalServer } from '../server/server-state.ts';
import { type CheckResult, failed, notChecked, passed } from './check-results.ts';

/**
 * A statement ends with a semicolon at the end of a line, where a comment may follow it, or with the file. Lines that are
 * comments are left out.
 */
export function statementsIn(text: string): readonly string[] {
  const lines = text.split(/\r?\n/).filter((line) => !/^\s*--/.test(line));
  return lines
    .join('\n')
    .split(/;[ \t]*(?:--[^\n]*)?(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

const statementMs = 600_000;
const shown = 200;

type Row = Readonly<Record<string, unknown>>;

/** Every row, and every column of it, must be true. */
function verdictOf(rows: readonly Row[]): string | undefined {
  if (rows.length === 0) return 'it gives no row';
  const values = rows.flatMap((row) => Object.values(row));
  const wrong = values.find((value) => value !== true);
  if (values.length > 0 && wrong === undefined) return undefined;
  return `it gives ${quoted(String(wrong), shown)}, not true`;
}

async function problemOf(server: Server, statement: string): Promise<string | undefined> {
  const result = await withLocalServer(
    server,
    async (sql) => {
      // Our own sessions know pg_catalog alone.
      await sql('SET search_path TO "$user", public');
      return sql(statement);
    },
    statementMs,
  );
  return result.kind === 'answered' ? verdictOf(result.value) : messageOf(result.reason);
}

export async function checkSqlFile(server: Server): Promise<CheckResult> {
  const name = 'drill_sql';
  const { drill_sql: path } = server.deps.settings;
  if (path === undefined) return notChecked(name, 'drill_sql is not set');
  let statements: readonly string[];
  try {
    statements = statementsIn(await readFile(path, 'utf8'));
  } catch (error) {
    return failed(name, `"${path}" cannot be read: ${messageOf(error)}`);
  }
  if (statements.length === 0) return failed(name, `"${path}" has no statement`);
  for (const [index, statement] of statements.entries()) {
    server.deps.signal.throwIfAborted();
    const problem = await problemOf(server, statement);
    if (problem !== undefined)
      return failed(name, `statement ${index + 1}, ${quoted(statement, shown)}: ${problem}`);
  }
  return passed(name, `${statements.length} statements give true`);
}
