/**
 * Rows are counted on the standby before and after the copy is made and opened. A table that has as many rows both times was
 * not changed meanwhile, as far as that shows: the copy must have as many, too.
 */
import { messageOf } from '../../errors.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import { quoted } from '../../system/printable.ts';
import type { Server } from '../server/server.ts';
import { withLocalServer } from '../server/server-state.ts';
import { type CheckResult, failed, notChecked, passed } from './check-results.ts';

/** By the name of the table; or why nothing could be counted. */
export type RowCounts = ReadonlyMap<string, string> | string;

/** To read more would disturb the queries of a hot standby. */
const largestBytes = 64 * 1024 * 1024;
const mostTables = 50;
const statementMs = 30_000;

const tablesSql =
  "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name FROM pg_class AS c " +
  "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'p' " +
  `AND n.nspname <> 'information_schema' AND c.relpages::bigint * current_setting('block_size')::bigint <= ${largestBytes} ` +
  `ORDER BY (n.nspname LIKE 'pg\\_%'), c.relpages DESC, 1 LIMIT ${mostTables}`;

/** Names come from the catalog, quoted by the server. A table that cannot be read is left out: it may have gone. */
async function count(sql: LocalSql, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const counts = new Map<string, string>();
  // Several processes at once would disturb the queries of a hot standby; 9.5 and older have none.
  await sql(
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'max_parallel_workers_per_gather'",
  );
  for (const name of names) {
    const rows = await sql(`SELECT count(*)::text AS rows FROM ${name}`).catch(() => []);
    if (rows[0] !== undefined) counts.set(name, String(rows[0]['rows']));
  }
  return counts;
}

async function countAll(sql: LocalSql): Promise<ReadonlyMap<string, string>> {
  const rows = await sql(tablesSql);
  return count(
    sql,
    rows.map((row) => String(row['name'])),
  );
}

/** @param names those to count; undefined for a choice */
export async function countRows(server: Server, names?: readonly string[]): Promise<RowCounts> {
  const result = await withLocalServer(
    server,
    (sql) => (names === undefined ? countAll(sql) : count(sql, names)),
    statementMs,
  );
  return result.kind === 'answered' ? result.value : messageOf(result.reason);
}

export function compareCounts(before: RowCounts, copy: RowCounts, after: RowCounts): CheckResult {
  const name = 'row counts';
  if (typeof before === 'string') return notChecked(name, `the standby was not asked: ${before}`);
  if (typeof after === 'string') return notChecked(name, `the standby was not asked again: ${after}`);
  const still = [...before].filter(([table, rows]) => after.get(table) === rows);
  if (typeof copy === 'string') return failed(name, `the copy cannot be read: ${copy}`);
  const wrong = still.find(([table, rows]) => copy.get(table) !== rows);
  if (wrong !== undefined) {
    const [table, rows] = wrong;
    return failed(
      name,
      `${quoted(table, 200)} has ${rows} rows on the standby, and ${copy.get(table) ?? '?'} in the copy`,
    );
  }
  const changed = before.size - still.length;
  const others = changed === 0 ? '' : `; ${changed} others changed meanwhile`;
  return still.length === 0
    ? notChecked(name, `no table was left to compare${others}`)
    : passed(name, `${still.length} tables have as many rows as on the standby${others}`);
}
