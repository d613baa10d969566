import type { LocalServer } from '../../system/libpq-access.ts';
import type { LocalResult, LocalSql } from '../../system/local-sql.ts';
import type { StandbyDeps } from '../deps.ts';

// SQLSTATE 3D000, invalid_catalog_name: there is no such database.
const noSuchDatabase = '3D000';
/** It exists in every cluster, even if an administrator has removed all other databases. */
const alwaysThere = 'template1';

/**
 * Logs in to the database in the INI file. If the file names none and the usual one does not exist, uses one that
 * always exists.
 */
export async function logIn<T>(
  deps: Pick<StandbyDeps, 'settings' | 'withLocalSql'>,
  address: LocalServer,
  limitMs: number,
  use: (sql: LocalSql) => Promise<T>,
): Promise<LocalResult<T>> {
  const first = await deps.withLocalSql(address, limitMs, use);
  const isMissing = first.kind === 'rejected' && first.code === noSuchDatabase;
  if (!isMissing || deps.settings.dbname !== undefined) return first;
  return deps.withLocalSql({ ...address, database: alwaysThere }, limitMs, use);
}
