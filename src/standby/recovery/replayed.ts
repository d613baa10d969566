import { parseLsn } from '../../postgres/lsn.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import type { Server } from '../server/server.ts';
import { rowsOf, type ServerState } from '../server/server-state.ts';
import { microsOf } from './target.ts';

/** The location up to which the data here was replayed. */
export interface Replayed {
  /** The commit time of the last replayed transaction, in microseconds since 1970 in UTC. */
  readonly time: bigint | undefined;
  readonly lsn: bigint | undefined;
}

/** From a server that can be queried, during recovery or after it. */
export async function askReplayed(server: Server): Promise<Replayed> {
  const { capabilities } = server;
  const { lastReplayTimestampFunction: last, lastReplayLsnFunction: lsn } = capabilities;
  if (last === undefined || lsn === undefined) return { time: undefined, lsn: undefined };
  // The format has six digits of a second and UTC, whatever DateStyle and TimeZone are set to.
  const [row] =
    (await rowsOf(
      server,
      `SELECT to_char(${last}() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' AS at, ${lsn}()::text AS lsn`,
    )) ?? [];
  const text = (name: string) => (typeof row?.[name] === 'string' ? row[name] : undefined);
  const location = text('lsn');
  return { time: microsOf(text('at')), lsn: location === undefined ? undefined : parseLsn(location) };
}

/**
 * From pg_control: the last checkpoint, and the location before which recovery cannot stop. A copy on which no server
 * has run shows neither.
 */
function controlSays({ control, backupLabel }: DataDirectory): Replayed {
  const progress = backupLabel === undefined ? control?.progress : undefined;
  if (progress === undefined) return { time: undefined, lsn: undefined };
  const { checkpointTime, minRecoveryLsn } = progress;
  return {
    time: checkpointTime > 0n ? checkpointTime * 1_000_000n : undefined,
    lsn: minRecoveryLsn > 0n ? minRecoveryLsn : undefined,
  };
}

export async function observeReplayed(
  server: Server,
  directory: DataDirectory,
  state: ServerState,
): Promise<Replayed> {
  if (state.kind !== 'recovering' || !state.answers) return controlSays(directory);
  const { time, lsn } = await askReplayed(server);
  return { time, lsn: lsn ?? state.replayed };
}

/** Whether a standby that can be queried has replayed the end of a transaction; false if it does not know. */
export async function hasEnded(server: Server, xid: number): Promise<boolean> {
  const { capabilities } = server;
  const { transactionStatusFunction: status } = capabilities;
  if (status === undefined) return false;
  const full = '(max >> 32 << 32) + $1::bigint';
  const rows = await rowsOf(
    server,
    `SELECT CASE WHEN ${full} < max THEN ${status}(${full}) END AS status FROM (SELECT txid_snapshot_xmax(txid_current_snapshot()) AS max) AS snapshot`,
    [xid],
  );
  const said = rows?.[0]?.['status'];
  return said === 'committed' || said === 'aborted';
}

/** Whether a standby has paused its replay. If it does not answer, that is unknown and counts as no. */
export async function isReplayPaused(server: Server, state: ServerState): Promise<boolean> {
  const { isReplayPausedFunction: paused } = server.capabilities;
  if (state.kind !== 'recovering' || !state.answers || paused === undefined) return false;
  const rows = await rowsOf(server, `SELECT ${paused}() AS paused`);
  return rows?.[0]?.['paused'] === true;
}

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
