/** Questions to a server, one statement each, beside those of a base backup (backup-sql.ts) and of slots (stream-slot.ts). */
import { PitrError } from '../errors.ts';
import type { Capabilities } from './capabilities.ts';

/** The server's own clock, in ISO 8601 and UTC, for comparison with the target of -R. */
export const clockSql = `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Two servers never start in the same microsecond. */
export const startedSql =
  "SELECT to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";

/** In seconds. */
export const checkpointTimeoutSql = "SELECT setting FROM pg_settings WHERE name = 'checkpoint_timeout'";

/** From 9.4 on. */
export const archiverStatisticsSql =
  'SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time FROM pg_stat_archiver';

/** Keeps an idle session alive. */
export const beatSql = 'SELECT 1';

/** Undefined before 9.0, which has no hot standby. */
export function replayedSql({ lastReplayLsnFunction }: Capabilities): string | undefined {
  return lastReplayLsnFunction === undefined ? undefined : `SELECT ${lastReplayLsnFunction}()::text`;
}

/** Undefined before 9.0, where a server that answers does not recover. */
export function inRecoverySql({ isInRecoveryFunction }: Capabilities): string | undefined {
  return isInRecoveryFunction === undefined ? undefined : `SELECT ${isInRecoveryFunction}()`;
}

/** A row for each file of pg_wal. */
export function walDirectorySql({ walDirName }: Capabilities): string {
  return `SELECT pg_ls_dir('${walDirName}')`;
}

/**
 * One row for each database whose indexes were made with another version of its library than the server has now: name, the
 * recorded version, the present one. Undefined before 15, which records none.
 */
export function collationsSql({ recordsCollationVersion }: Capabilities): string | undefined {
  if (!recordsCollationVersion) return undefined;
  return (
    'SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database ' +
    'WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid) ORDER BY 1'
  );
}

/**
 * The version of the root collation in the server's ICU library, or of another collation of ICU; the catalogs of a standby
 * are those of its primary, so that both answer for the same one. No row: it has none.
 */
export function icuSql({ hasIcuCollations }: Capabilities): string | undefined {
  if (!hasIcuCollations) return undefined;
  return (
    "SELECT collname, coalesce(pg_collation_actual_version(oid), '') FROM pg_collation WHERE collprovider = 'i' " +
    "ORDER BY collname <> 'und-x-icu', collname LIMIT 1"
  );
}

/** One row about a standby: whether it recovers, whether it is paused, and the locations and the timeline of its WAL. */
export function sourceStateSql(capabilities: Capabilities): string {
  const { controlRedoColumn, isReplayPausedFunction, lastReplayLsnFunction } = capabilities;
  if (
    controlRedoColumn === undefined ||
    isReplayPausedFunction === undefined ||
    lastReplayLsnFunction === undefined
  )
    throw new PitrError(`PostgreSQL ${capabilities.version.major} cannot be copied from a standby`);
  return (
    'SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() ' +
    `THEN ${isReplayPausedFunction}() END, ${lastReplayLsnFunction}(), ${controlRedoColumn}, timeline_id ` +
    'FROM pg_control_checkpoint()'
  );
}

/** How a role comes to see what the statistics hide from it. */
export function statisticsHint({ hasReadAllStatsRole }: Pick<Capabilities, 'hasReadAllStatsRole'>): string {
  return hasReadAllStatsRole ? 'GRANT pg_monitor to it' : 'before PostgreSQL 10, only a superuser can';
}
