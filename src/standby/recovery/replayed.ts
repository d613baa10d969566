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
