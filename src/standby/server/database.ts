import type { StandbySettings } from '../../config/options-standby.ts';

/** The database to log in to; on the primary it holds the helper functions. */
export function databaseOf({ dbname }: Pick<StandbySettings, 'dbname'>): string {
  return dbname ?? 'postgres';
}
