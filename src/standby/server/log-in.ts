import type { LocalResult, LocalServer, LocalSql } from '../../system/local-sql.ts';
import type { StandbyDeps } from '../deps.ts';

// SQLSTATE 3D000, invalid_catalog_name: there is no such database.
const noSuchDatabase = '3D000';
/** In every cluster, however little its administrator left of it. */
const alwaysThere = 'template1';

/** Logs in to the database of the INI; where it names none and the usual one is not there, to one that is. */
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
