import type { Capabilities } from '../../postgres/capabilities.ts';
import type { LocalSql } from '../../system/local-sql.ts';

/** The timeline that an open server writes: pg_control names a new one only after the next checkpoint. */
export async function writtenTimeline(sql: LocalSql, capabilities: Capabilities): Promise<number> {
  const { walFileNameFunction: name, currentLsnFunction: current } = capabilities;
  const [row] = await sql(`SELECT ${name}(${current}()) AS segment`);
  return Number.parseInt(String(row?.['segment']).slice(0, 8), 16);
}
