/** Where --setup puts its files. Pure. */
import { basename, dirname, join } from 'node:path';
import type { HostAddress } from '../host-address.ts';
import type { KeySide } from './public-key.ts';
import type { SetupRole } from './request.ts';

export interface Places {
  readonly directory: string;
  readonly archiverIni: string;
  readonly standbyIni: string;
  /** Our own keys, and the host keys of the others. */
  readonly ssh: string;
  readonly keys: Readonly<Record<KeySide, string>>;
  readonly knownHosts: string;
  readonly lock: string;
}

/** Both INI files are side by side, where each program looks for the other one. */
export function placesOf(role: SetupRole, iniFile: string): Places {
  const directory = dirname(iniFile);
  const ssh = join(directory, 'ssh');
  return {
    directory,
    archiverIni: role === 'primary' ? iniFile : join(directory, 'cmd_archiver.ini'),
    standbyIni: role === 'standby' ? iniFile : join(directory, 'cmd_standby.ini'),
    ssh,
    keys: { archive: join(ssh, 'id_archive'), data: join(ssh, 'id_data') },
    knownHosts: join(ssh, 'known_hosts'),
    lock: join(ssh, '.setup.lock'),
  };
}

/** ssh splits these values at blanks, and expands percent signs and tildes in them. */
export function isPlainPath(path: string): boolean {
  return /^[\w@+=:,./-]+$/.test(path);
}

/** The value of `ssh:`: our own key, and only hosts whose keys are in our own file. */
export function sshWords(
  { keys, knownHosts }: Places,
  { port }: Pick<HostAddress, 'port'>,
  side: KeySide,
): readonly string[] {
  const options = [
    'IdentitiesOnly=yes',
    `UserKnownHostsFile=${knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
  ];
  return [
    'ssh',
    ...(port === undefined ? [] : ['-p', String(port)]),
    '-i',
    keys[side],
    ...options.flatMap((option) => ['-o', option]),
  ];
}

/** `/var/lib/postgresql` of `/var/lib/postgresql/15/main`; otherwise the directory above the data directory. */
function clusterRoot(pgdata: string): string {
  const above = dirname(pgdata);
  return /^\d+(\.\d+)?$/.test(basename(above)) ? dirname(above) : above;
}

/** The archive of a cluster, if nobody names another place; several clusters on a host need several. */
export function defaultArchive(pgdata: string, isOnlyCluster: boolean): string {
  const root = clusterRoot(pgdata);
  if (isOnlyCluster) return join(root, 'archive');
  const name = pgdata.slice(root.length).split('/').filter(Boolean).join('-');
  return join(root, `archive-${name}`);
}

/** The queues of a host beside its archive: an archive in which something else lies would not be taken for a new one. */
export function queueDirectoryFor(archive: string): string {
  const name = basename(archive);
  const isUsual = name === 'archive' || name.startsWith('archive-');
  return join(dirname(archive), isUsual ? name.replace('archive', 'queues') : `${name}-queues`);
}
