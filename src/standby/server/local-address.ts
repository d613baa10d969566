import { isAbsolute, join } from 'node:path';
import type { LocalServer } from '../../system/local-sql.ts';
import type { StandbySettings } from '../../config/options-standby.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import { databaseOf } from '../database.ts';

const defaultPort = 5432;
const defaultSocketDirectory = '/tmp';

function loopbackOf(address: string): string {
  if (address === '*' || address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

/** The first of a list as `unix_socket_directories` has it. */
function firstDirectory(text: string | undefined): string | undefined {
  const first = text
    ?.split(',')[0]
    ?.trim()
    .replace(/^"(.*)"$/, '$1');
  return first === '' ? undefined : first;
}

/**
 * Where the running server of this host listens: from 9.1 on postmaster.pid tells, before that the configuration must.
 *
 * @param inFile what postgresql.conf sets
 */
export function localServerAt(
  settings: Pick<StandbySettings, 'pgdata' | 'user' | 'local_port' | 'dbname'>,
  postmaster: Postmaster,
  inFile: ReadonlyMap<string, string>,
): LocalServer {
  const told = postmaster.kind === 'running' ? postmaster : undefined;
  const configured = firstDirectory(
    inFile.get('unix_socket_directories') ?? inFile.get('unix_socket_directory'),
  );
  const port = told?.port ?? settings.local_port ?? Number(inFile.get('port') ?? defaultPort);
  const socketDirectory = told?.socketDirectory ?? configured;
  const common = { port, user: settings.user, database: databaseOf(settings) };
  if (socketDirectory === undefined && told?.listenAddress !== undefined)
    return { host: loopbackOf(told.listenAddress), ...common };
  const directory = socketDirectory ?? defaultSocketDirectory;
  return { host: isAbsolute(directory) ? directory : join(settings.pgdata, directory), ...common };
}
