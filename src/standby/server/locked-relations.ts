import type { Server } from './server.ts';
import { rowsOf } from './server-state.ts';

/** No session of a server in recovery can take this lock (manual, section "Hot Standby"): the replay holds it for its transaction. */
const heldByReplay = `SELECT d.datname AS database,
  CASE WHEN d.datname = current_database() THEN l.relation::regclass::text ELSE 'relation ' || l.relation::text END AS name
  FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted ORDER BY 1, 2`;

/**
 * The relations that are locked by transactions which were unfinished where replay stopped. Every query on them waits
 * until replay continues. Undefined if the server does not answer.
 */
export async function lockedRelations(server: Server): Promise<readonly string[] | undefined> {
  const rows = await rowsOf(server, heldByReplay);
  return rows?.map((row) => `${String(row['name'])} in database "${String(row['database'])}"`);
}
