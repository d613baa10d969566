import { isAbsolute, join } from 'node:path';
import type { StandbySettings } from '../../config/options-standby.ts';
import type { LocalServer } from '../../system/libpq-access.ts';
import type { Postmaster } from '../../system/postmaster.ts';
import { databaseOf } from './database.ts';

const defaultPort = 5432;
const defaultSocketDirectory = '/tmp';

function loopbackOf(address: string): string {
  if (address === '*' || address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

/** The list in `unix_socket_directories`. */
function directoriesIn(text: string | undefined): readonly string[] {
  const names = (text ?? '').split(',').map((name) => name.trim().replace(/^"(.*)"$/, '$1'));
  return names.filter((name) => name !== '');
}

/** An abstract socket exists only in the kernel. libpq can connect to it; Node cannot. */
function isAbstract(directory: string): boolean {
  return directory.startsWith('@');
}

/** From 9.1 on a server adds to postmaster.pid where it listens as soon as it does; the port is there before. */
export function mayListen(postmaster: Postmaster): boolean {
  if (postmaster.kind !== 'running' || postmaster.port === undefined) return true;
  return postmaster.socketDirectory !== undefined || postmaster.listenAddress !== undefined;
}

/**
 * The address at which this host's running server listens. From 9.1 on it is in postmaster.pid; before that only the
 * configuration has it.
 *
 * @param inFile the user's settings in the server's files
 */
export function localServerAt(
  settings: Pick<StandbySettings, 'pgdata' | 'user' | 'local_port' | 'dbname'>,
  postmaster: Postmaster,
  inFile: ReadonlyMap<string, string>,
): LocalServer {
  const told = postmaster.kind === 'running' ? postmaster : undefined;
  const configured = directoriesIn(
    inFile.get('unix_socket_directories') ?? inFile.get('unix_socket_directory'),
  );
  const inFileSystem = configured.find((directory) => !isAbstract(directory));
  const port = told?.port ?? settings.local_port ?? Number(inFile.get('port') ?? defaultPort);
  const common = { port, user: settings.user, database: databaseOf(settings) };
  // A configured directory may have the socket of another server, as long as this one has none there.
  const first = told?.socketDirectory ?? (told?.listenAddress === undefined ? configured[0] : undefined);
  const socketDirectory = first !== undefined && isAbstract(first) ? inFileSystem : first;
  if (socketDirectory === undefined && told?.listenAddress !== undefined)
    return { host: loopbackOf(told.listenAddress), ...common };
  const directory = socketDirectory ?? first ?? defaultSocketDirectory;
  const isComplete = isAbsolute(directory) || isAbstract(directory);
  return { host: isComplete ? directory : join(settings.pgdata, directory), ...common };
}
