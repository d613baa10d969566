import type { StandbySettings } from '../../config/options-standby.ts';
import type { PsqlTarget } from '../../system/psql-failure.ts';

/** The database to log in to; on the primary it holds the helper functions. */
export function databaseOf({ dbname }: Pick<StandbySettings, 'dbname'>): string {
  return dbname ?? 'postgres';
}

/** A server that psql reaches from the server's own host. */
export function psqlTarget(
  settings: Pick<StandbySettings, 'dbname' | 'r_psql' | 'user'>,
  host: string,
  port: number,
): PsqlTarget {
  return { psql: settings.r_psql, host, port, user: settings.user, database: databaseOf(settings) };
}
