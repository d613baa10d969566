/**
 * Rows are counted on the standby before and after the copy is made and opened: only those that a transaction wrote which had
 * ended before. If all of them are still there at the end, they were there at any moment between, so that the copy must
 * have as many, too, whatever came and went meanwhile.
 */
import { messageOf } from '../../errors.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { systemErrorCode } from '../../system/durable.ts';
import type { LocalSql } from '../../system/local-sql.ts';
import { quoted } from '../../system/printable.ts';
import type { Server } from '../server/server.ts';
import { withLocalServer } from '../server/server-state.ts';
import { type CheckResult, failed, notChecked, passed } from './check-results.ts';

/** The rows of transactions before one. */
export interface Counts {
  /** All transactions before this number had ended when the first count began. */
  readonly before: number;
  /** By the name of the table; undefined for one that was not counted in time. One that cannot be read is missing. */
  readonly tables: ReadonlyMap<string, string | undefined>;
}

/** Or why nothing could be counted. */
export type RowCounts = Counts | string;

/** To read more would disturb the queries of a hot standby. */
const largestBytes = 64 * 1024 * 1024;
const mostTables = 50;
const statementMs = 30_000;

/** relpages is 0 for a table that was never analysed, and old for others: it only orders them. */
function tablesSql({ hasRelationPersistence }: Capabilities): string {
  return (
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, c.oid::text AS oid FROM pg_class AS c " +
    `JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND ${hasRelationPersistence ? "c.relpersistence = 'p'" : 'NOT c.relistemp'} ` +
    `AND n.nspname <> 'information_schema' AND c.relpages::bigint * current_setting('block_size')::bigint <= ${largestBytes} ` +
    `ORDER BY (n.nspname LIKE 'pg\\_%'), c.relpages DESC, 1 LIMIT ${mostTables}`
  );
}

/** Numbers of transactions are compared in a circle of 2^32; those below 3 stand for rows that are older than all. */
const circle = 2 ** 32;
const beforeSql = `SELECT txid_snapshot_xmin(txid_current_snapshot()) % ${circle} AS before`;

function countSql(name: string, before: number): string {
  const xid = 'xmin::text::bigint';
  return `SELECT count(*)::text AS rows FROM ${name} WHERE ${xid} < 3 OR (${before} - ${xid}) & ${circle - 1} BETWEEN 1 AND ${circle / 2 - 1}`;
}

const queryCanceled = '57014';

/** By the server, or by the driver if the server does not end it. */
function isTimeLimit(error: unknown): boolean {
  return systemErrorCode(error) === queryCanceled || messageOf(error) === 'Query read timeout';
}

/** Names come from the catalog, quoted by the server. A table that cannot be read is left out: it may have gone. */
async function count(sql: LocalSql, names: Iterable<string>, before: number): Promise<Counts> {
  const tables = new Map<string, string | undefined>();
  // Several processes at once would disturb the queries of a hot standby; 9.5 and older have none.
  await sql(
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'max_parallel_workers_per_gather'",
  );
  for (const name of names) {
    try {
      const [row] = await sql(countSql(name, before));
      if (row !== undefined) tables.set(name, String(row['rows']));
    } catch (error) {
      if (isTimeLimit(error)) tables.set(name, undefined);
    }
  }
  return { before, tables };
}

async function isSmall(sql: LocalSql, oid: unknown): Promise<boolean> {
  const rows = await sql(`SELECT pg_relation_size(${Number(oid)}::oid)::text AS bytes`).catch(() => []);
  const bytes = rows[0]?.['bytes'];
  return typeof bytes === 'string' && Number(bytes) <= largestBytes;
}

async function countAll(sql: LocalSql, capabilities: Capabilities): Promise<Counts> {
  const names: string[] = [];
  for (const { name, oid } of await sql(tablesSql(capabilities)))
    if (await isSmall(sql, oid)) names.push(String(name));
  const [row] = await sql(beforeSql);
  return count(sql, names, Number(row?.['before']));
}

/** @param like the same rows are counted; undefined for a choice */
export async function countRows(server: Server, like?: Counts): Promise<RowCounts> {
  const result = await withLocalServer(
    server,
    (sql) =>
      like === undefined ? countAll(sql, server.capabilities) : count(sql, like.tables.keys(), like.before),
    statementMs,
  );
  return result.kind === 'answered' ? result.value : messageOf(result.reason);
}

export function compareCounts(before: RowCounts, copy: RowCounts, after: RowCounts): CheckResult {
  const name = 'row counts';
  if (typeof before === 'string') return notChecked(name, `the standby was not asked: ${before}`);
  if (typeof after === 'string') return notChecked(name, `the standby was not asked again: ${after}`);
  const still = [...before.tables].filter(
    ([table, rows]) => rows !== undefined && after.tables.get(table) === rows,
  );
  if (typeof copy === 'string') return failed(name, `the copy cannot be read: ${copy}`);
  // The copy's server has the lowest priority: what it was too slow for is no difference.
  const counted = still.filter(([table]) => !copy.tables.has(table) || copy.tables.get(table) !== undefined);
  const wrong = counted.find(([table, rows]) => copy.tables.get(table) !== rows);
  if (wrong !== undefined) {
    const [table, rows] = wrong;
    return failed(
      name,
      `${quoted(table, 200)} has ${rows ?? '?'} rows on the standby, and ${copy.tables.get(table) ?? '?'} in the copy`,
    );
  }
  const changed = before.tables.size - still.length;
  const late = still.length - counted.length;
  const others =
    (changed === 0 ? '' : `; ${changed} others changed meanwhile, or were not counted in time`) +
    (late === 0 ? '' : `; ${late} others were not counted in time in the copy`);
  return counted.length === 0
    ? notChecked(name, `no table was left to compare${others}`)
    : passed(name, `${counted.length} tables have as many rows as on the standby${others}`);
}
