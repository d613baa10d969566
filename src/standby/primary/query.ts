import type { StandbyDeps } from '../deps.ts';
import { withServerSession } from './primary.ts';
import type { Query } from './session.ts';

/** Asks only the server that `master_public_ip` and `port` name, in the way that the INI file allows. */
export async function withPrimaryQuery<T>(deps: StandbyDeps, use: (query: Query) => Promise<T>): Promise<T> {
  const { settings } = deps;
  if (settings.basebackup_method === 'pg_basebackup')
    return (await import('./protocol/protocol-primary.ts')).withProtocolQuery(deps, use);
  const { master_public_ip: host, master_local_ip: localAddress, port } = settings;
  const place = { what: host, host, localAddress, port };
  return withServerSession(deps, place, (_shell, { query }) => use(query));
}
