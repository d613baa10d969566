import pg from 'pg';
import { eventually } from '../../test/harness/eventually.ts';
import type { Primary } from '../../test/harness/primary.ts';

/** A row whose commit the server acknowledged, and the last segment that can contain the commit record. */
interface AcknowledgedRow {
  readonly id: number;
  readonly segment: string;
}

export interface Traffic {
  acknowledged(): readonly AcknowledgedRow[];
  waitForRows(count: number): Promise<void>;
  /** Resolves when the server no longer answers. */
  readonly stopped: Promise<void>;
}

// One row, and the segment that was current after its commit: the commit is in that segment or before it.
const insert = `INSERT INTO demo (filler) VALUES (repeat(md5(random()::text), 8)) RETURNING id`;
const current = 'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS segment';

/** Inserts rows, one commit each, until the server no longer answers. */
export async function createTraffic(primary: Primary): Promise<Traffic> {
  await primary.sql('CREATE TABLE demo (id serial PRIMARY KEY, filler text)');
  await primary.sql('CREATE TABLE after_failover (at timestamptz DEFAULT now())');
  const rows: AcknowledgedRow[] = [];
  const { socketDirectory: host, port, user } = primary;
  const client = new pg.Client({ host, port, user, database: 'postgres' });
  client.on('error', () => undefined);
  await client.connect();
  const stopped = insertUntilGone(client, rows);
  return {
    acknowledged: () => rows,
    waitForRows: async (count) => {
      await eventually(() => rows.length >= count, { what: `${count} rows` });
    },
    stopped,
  };
}

async function insertUntilGone(client: pg.Client, rows: AcknowledgedRow[]): Promise<void> {
  try {
    for (;;) {
      const inserted = await client.query<{ id: number }>(insert);
      const where = await client.query<{ segment: string }>(current);
      const id = inserted.rows[0]?.id;
      const segment = where.rows[0]?.segment;
      if (id !== undefined && segment !== undefined) rows.push({ id, segment });
    }
  } catch {
    // The expected end: the server was killed.
  }
}
