import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Host, writeScript } from './host.ts';
import { type IniKeys, writeIni } from './ini.ts';
import { clientProgram, serverProgram } from './postgres-programs.ts';
import type { Primary } from './primary.ts';
import {
  baseSettings,
  createServer,
  type Server,
  type ServerSettings,
  settingLines,
  trustingHba,
} from './server.ts';

export interface StandbyOptions {
  /** Keys of `[DEFAULT]` in cmd_standby.ini; `undefined` leaves ours out. */
  readonly ini?: IniKeys;
  /** Settings in the postgresql.conf that the INI's `pg_conf` names. */
  readonly settings?: ServerSettings;
  /** Settings in the postgresql.conf that the INI's `pg_conf_failover` names. */
  readonly failoverSettings?: ServerSettings;
  /** Its data directory; `pgdata` in the host's directory by default, like the primary's but in another tree. */
  readonly pgdata?: string;
  /** That of a server which is there already. */
  readonly port?: number;
}

/** A standby's place: nothing is there yet but the INI and the configuration files that it names. */
export interface Standby extends Server {
  readonly name: string;
  readonly host: Host;
  /** Path of cmd_standby.ini. */
  readonly iniFile: string;
  readonly archiveDir: string;
  /** Writes cmd_standby.ini anew with these keys over those that are there already. */
  writeIni(keys: IniKeys): void;
  /** WAL files in archivedir (and nothing else that lies there). */
  archive(): string[];
  /** Bytes of a file in archivedir. */
  archivedBytes(name: string): Buffer;
  /** Waits until archivedir holds this file. */
  received(name: string, limitMs?: number): Promise<void>;
  /** How often the `action_failover` script ran. */
  failoverActions(): number;
  inRecovery(): Promise<boolean>;
}

export interface StandbyPlace {
  readonly major: number;
  readonly user: string;
  readonly host: Host;
  readonly port: number;
  readonly primary: Primary;
}

export function createStandby(place: StandbyPlace, options: StandbyOptions): Standby {
  const { host } = place;
  const iniFile = join(host.directory, 'etc', 'cmd_standby.ini');
  const archiveDir = host.archiveDir;
  const server = createServer({
    major: place.major,
    pgdata: options.pgdata ?? join(host.directory, 'data', 'main'),
    socketDirectory: join(host.directory, 'run'),
    port: place.port,
    log: join(host.directory, 'postgresql.log'),
    user: place.user,
    env: host.env,
  });
  writeConfiguration(server, host, options);

  const keys = standbyKeys(place, server);
  const standby: Standby = {
    ...server,
    name: host.name,
    host,
    iniFile,
    archiveDir,
    writeIni: (changes) => {
      Object.assign(keys, changes);
      writeIni(iniFile, { keys });
    },
    archive: () => walFiles(archiveDir),
    archivedBytes: (name) => readFileSync(join(archiveDir, name)),
    received: async (name, limitMs = 120_000) => {
      await eventually(() => existsSync(join(archiveDir, name)), {
        limitMs,
        what: `${name} in ${archiveDir}`,
      });
    },
    failoverActions: () => countLines(join(host.directory, 'failover.log')),
    inRecovery: async () => (await server.value('SELECT pg_is_in_recovery()')) === 'true',
  };
  standby.writeIni(options.ini ?? {});
  return standby;
}

/** The files of `pg_conf`, `pg_hba_conf` and their failover twins, each with what the server needs to run here. */
function writeConfiguration(server: Server, host: Host, options: StandbyOptions): void {
  const listen = { listen_addresses: `127.0.0.1, ${host.address}`, archive_mode: false };
  const write = (folder: string, settings: ServerSettings): void => {
    const directory = join(host.directory, 'etc', folder);
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, 'postgresql.conf'),
      settingLines({ ...baseSettings(server), ...listen, ...settings }),
    );
    writeFileSync(join(directory, 'pg_hba.conf'), trustingHba);
  };
  write('pg_conf', options.settings ?? {});
  write('pg_conf_failover', { ...options.settings, ...options.failoverSettings });
}

function standbyKeys(place: StandbyPlace, server: Server): Record<string, string | number | undefined> {
  return { ...primaryKeys(place), ...ownKeys(place, server) };
}

function primaryKeys({ primary, host, user, major }: StandbyPlace): IniKeys {
  return {
    pgversion: major,
    use_streaming_replication: 'no',
    repl_db_user: user,
    repl_db_password: 'replication',
    ssh: host.ssh,
    rsync: '/usr/bin/rsync',
    r_psql: clientProgram('psql'),
    port: primary.port,
    master_public_ip: primary.host.address,
    master_local_ip: '127.0.0.1',
    user,
    ssh_timeout: 5,
    debug: 'on',
  };
}

function ownKeys({ host, major }: StandbyPlace, server: Server): IniKeys {
  const etc = join(host.directory, 'etc');
  const action = writeScript(
    host,
    'failover.sh',
    `echo failover >> '${join(host.directory, 'failover.log')}'`,
  );
  return {
    pg_ctl: serverProgram(major, 'pg_ctl'),
    pg_archivecleanup: clientProgram('pg_archivecleanup'),
    archivedir: host.archiveDir,
    pgdata: server.pgdata,
    pg_conf: join(etc, 'pg_conf', 'postgresql.conf'),
    pg_hba_conf: join(etc, 'pg_conf', 'pg_hba.conf'),
    pg_conf_failover: join(etc, 'pg_conf_failover', 'postgresql.conf'),
    pg_hba_conf_failover: join(etc, 'pg_conf_failover', 'pg_hba.conf'),
    logfile: server.log,
    notify_ok: host.notify('ok'),
    notify_warning: host.notify('warning'),
    notify_critical: host.notify('critical'),
    action_failover: action,
  };
}

function walFiles(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => /^[0-9A-F]{8}(\.history$|[0-9A-F]{16})/.test(name))
    .sort();
}

function countLines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}
