import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from './checkout.ts';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import { type IniKeys, writeIni } from './ini.ts';
import { clientProgram } from './postgres-programs.ts';
import { mustRun } from './processes.ts';
import { createServer, makeCluster, type Server, type ServerSettings } from './server.ts';

export interface PrimaryOptions {
  /** Name of its host; `primary` by default. */
  readonly name?: string;
  /** Hosts it ships to, in the INI's order; those that do not exist yet are made. */
  readonly slaves?: readonly string[];
  readonly settings?: ServerSettings;
  /** Keys of `[DEFAULT]` in cmd_archiver.ini; `undefined` leaves ours out. */
  readonly ini?: IniKeys;
  /** Keys by standby, beside the `r_archivedir` that we write. */
  readonly sections?: Readonly<Record<string, IniKeys>>;
  readonly walSegmentMb?: number;
  /** As initdb would have it by default, if left out. */
  readonly checksums?: boolean;
  /** `initdb --allow-group-access`. */
  readonly groupAccess?: boolean;
  /** `l_archive` in the host's directory by default. */
  readonly lArchiveDir?: string;
  /** `false`: the cluster is made, but not started. */
  readonly start?: boolean;
}

export interface Primary extends Server {
  readonly name: string;
  readonly host: Host;
  /** Path of cmd_archiver.ini. */
  readonly iniFile: string;
  readonly lArchiveDir: string;
  /** Writes cmd_archiver.ini anew with these keys over those that are there already. */
  writeIni(keys: IniKeys, sections?: Readonly<Record<string, IniKeys>>): void;
  /** Files in a standby's queue. */
  queue(standby: string): string[];
  /** What PostgreSQL says of its archiver. */
  archiver(): Promise<{ archived: number; failed: number; lastArchived: string | null }>;
  /** Waits until PostgreSQL has taken this segment for archived, that is: archive_command has exited 0 for it. */
  archived(segment: string, limitMs?: number): Promise<void>;
  /** Runs a file of SQL by psql, as the how-to does with the helper functions, and returns what it printed. */
  psqlFile(file: string): Promise<string>;
  /** Copies a segment out of pg_wal, for tests that archive it by hand. */
  copyOfSegment(segment: string): string;
}

export interface PrimaryPlace {
  readonly major: number;
  readonly user: string;
  readonly host: Host;
  readonly port: number;
  readonly slaves: readonly Host[];
}

export async function createPrimary(place: PrimaryPlace, options: PrimaryOptions): Promise<Primary> {
  const { host } = place;
  const lArchiveDir = options.lArchiveDir ?? join(host.directory, 'l_archive');
  mkdirSync(join(host.directory, 'etc'), { recursive: true });
  const server = createServer({
    major: place.major,
    pgdata: join(host.directory, 'pgdata'),
    socketDirectory: join(host.directory, 'run'),
    port: place.port,
    log: join(host.directory, 'postgresql.log'),
    user: place.user,
    env: host.env,
  });
  await makeCluster(server, {
    walSegmentMb: options.walSegmentMb,
    checksums: options.checksums,
    groupAccess: options.groupAccess,
    settings: {
      listen_addresses: `127.0.0.1, ${host.address}`,
      ...archivingSettings(host),
      ...options.settings,
    },
  });
  const primary = primaryOn({ ...place, server, lArchiveDir }, options);
  if (options.start !== false) await primary.start();
  return primary;
}

export interface ArchiverPlace {
  readonly host: Host;
  readonly server: Server;
  readonly user: string;
  readonly slaves: readonly Host[];
  readonly lArchiveDir: string;
}

/** A server with its cmd_archiver.ini: one that was made as a primary, or a standby that is to become one. */
export function primaryOn(
  place: ArchiverPlace,
  options: Pick<PrimaryOptions, 'ini' | 'sections'> = {},
): Primary {
  const { host, server, lArchiveDir } = place;
  const iniFile = archiverIniOf(host);
  const ini = { keys: archiverKeys(place), sections: slaveSections(place.slaves) };
  const primary: Primary = {
    ...server,
    name: host.name,
    host,
    iniFile,
    lArchiveDir,
    writeIni: (keys, sections = {}) => {
      Object.assign(ini.keys, keys);
      for (const [name, own] of Object.entries(sections))
        ini.sections[name] = { ...ini.sections[name], ...own };
      writeIni(iniFile, ini);
    },
    queue: (standby) => listing(join(lArchiveDir, standby)),
    archiver: () => archiverStatistics(server),
    archived: (segment, limitMs) => archived(server, segment, limitMs),
    psqlFile: (file) => psqlFile(server, file),
    copyOfSegment: (segment) => copyOfSegment(server, host, segment),
  };
  primary.writeIni(options.ini ?? {}, options.sections);
  return primary;
}

function archiverIniOf(host: Host): string {
  return join(host.directory, 'etc', 'cmd_archiver.ini');
}

/** What makes a server of this host ship by the host's cmd_archiver.ini. */
export function archivingSettings(host: Host): ServerSettings {
  return {
    archive_mode: true,
    archive_command: `${checkout('bin', 'cmd_archiver')} -C ${archiverIniOf(host)} -F %p`,
  };
}

function archiverKeys(place: ArchiverPlace): Record<string, string | number | undefined> {
  const { host, server, lArchiveDir } = place;
  return {
    state: 'online',
    pgdata: server.pgdata,
    l_archivedir: lArchiveDir,
    r_archivedir: (place.slaves[0] ?? host).archiveDir,
    ssh: host.ssh,
    rsync_bin: '/usr/bin/rsync',
    slaves: place.slaves.map(({ name }) => name).join(', '),
    user: place.user,
    ssh_timeout: 5,
    notify_ok: host.notify('ok'),
    notify_warning: host.notify('warning'),
    notify_critical: host.notify('critical'),
    debug: 'on',
  };
}

/** Every host keeps the archive in its own tree, so each standby but the first needs a section. */
function slaveSections(slaves: readonly Host[]): Record<string, IniKeys> {
  return Object.fromEntries(slaves.slice(1).map((host) => [host.name, { r_archivedir: host.archiveDir }]));
}

function listing(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

async function archiverStatistics(
  server: Server,
): Promise<{ archived: number; failed: number; lastArchived: string | null }> {
  const [row] = await server.sql(
    'SELECT archived_count, failed_count, last_archived_wal FROM pg_stat_archiver',
  );
  const last = row?.['last_archived_wal'];
  return {
    archived: Number(row?.['archived_count']),
    failed: Number(row?.['failed_count']),
    lastArchived: typeof last === 'string' ? last : null,
  };
}

async function archived(server: Server, segment: string, limitMs = 120_000): Promise<void> {
  await eventually(() => !server.archiveStatus().includes(`${segment}.ready`), {
    limitMs,
    what: `${segment} archived; server log ${server.log}`,
  });
}

function psqlFile(server: Server, file: string): Promise<string> {
  const args = ['-X', '-w', '-h', server.socketDirectory, '-p', String(server.port), '-U', server.user];
  return mustRun(clientProgram('psql'), [...args, '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-f', file], {
    env: server.env,
  });
}

function copyOfSegment(server: Server, host: Host, segment: string): string {
  const copy = join(host.directory, 'run', segment);
  copyFileSync(join(server.pgdata, 'pg_wal', segment), copy);
  return copy;
}
