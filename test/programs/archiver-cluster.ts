import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import type { Host } from '../harness/host.ts';
import { type IniKeys, writeIni } from '../harness/ini.ts';
import { type Finished, type Running, start, type StartOptions } from '../harness/processes.ts';
import { buildWal, controlFileStart, walName, type WalSpec } from '../harness/wal.ts';
import type { World } from '../harness/world.ts';

/** Small segments keep these tests fast; PostgreSQL allows them from 11 on. */
export const segmentBytes = 1024 * 1024;

/** A data directory without a server, the INI file of its archiver, and the archive directories of its standbys. */
export interface FakeCluster {
  readonly host: Host;
  readonly pgdata: string;
  readonly iniFile: string;
  readonly lArchiveDir: string;
  readonly systemIdentifier: bigint;
  readonly standbys: readonly Host[];
  /** Names of the segments from 1 on, on timeline 1. */
  segment(number: number, timeline?: number): string;
  /** Writes a segment into pg_wal and returns its bytes. */
  addSegment(name: string, spec?: Partial<WalSpec>): Buffer;
  /** Puts any file into pg_wal. */
  addFile(name: string, content: string | Buffer): void;
  writeIni(keys: IniKeys, sections?: Readonly<Record<string, IniKeys>>): void;
  /** Runs cmd_archiver with this cluster's INI, in pgdata as PostgreSQL does. */
  run(args: readonly string[], options?: StartOptions): Promise<Finished>;
  start(args: readonly string[], options?: StartOptions): Running;
  /** `-F pg_wal/NAME`. */
  archive(name: string): Promise<Finished>;
  queue(standby: string): string[];
  /** Removes the lane's memory of a failure, so that the next call tries at once. */
  forgetTrouble(standby: string): void;
  state(standby: string): Record<string, unknown>;
}

export interface FakeClusterOptions {
  readonly slaves: readonly string[];
  readonly name?: string;
  readonly systemIdentifier?: bigint;
  readonly ini?: IniKeys;
}

export function writeControlFile(pgdata: string, systemIdentifier: bigint): void {
  mkdirSync(join(pgdata, 'global'), { recursive: true });
  const bytes = controlFileStart(systemIdentifier);
  bytes.writeUInt32LE(1300, 8);
  writeFileSync(join(pgdata, 'global', 'pg_control'), bytes);
}

/** What `cmd_standby -I` leaves on a standby, as far as a lane looks at it. */
export function prepareArchive(host: Host, systemIdentifier: bigint): string {
  const archive = host.archiveDir;
  mkdirSync(archive, { recursive: true, mode: 0o700 });
  writeFileSync(join(archive, '.pitrtools'), sentinelText(systemIdentifier, host.name));
  return archive;
}

export function sentinelText(systemIdentifier: bigint, standby: string): string {
  return `system_identifier: ${systemIdentifier.toString()}\nstandby: ${standby}\n`;
}

/** WAL files in a standby's archive directory. */
export function archivedFiles(host: Host): string[] {
  if (!existsSync(host.archiveDir)) return [];
  return readdirSync(host.archiveDir)
    .filter((name) => !name.startsWith('.'))
    .sort();
}

export function archivedBytes(host: Host, name: string): Buffer {
  return readFileSync(join(host.archiveDir, name));
}

/** A cluster whose standbys are ready and whose archiver is initialized. */
export async function readyCluster(world: World, options: FakeClusterOptions): Promise<FakeCluster> {
  const cluster = await fakeCluster(world, options);
  for (const host of cluster.standbys) prepareArchive(host, cluster.systemIdentifier);
  const init = await cluster.run(['-I']);
  if (init.code !== 0) throw new Error(`-I failed: ${init.stdout}${init.stderr}`);
  return cluster;
}

export async function fakeCluster(world: World, options: FakeClusterOptions): Promise<FakeCluster> {
  const host = await world.host(options.name ?? 'primary');
  const standbys: Host[] = [];
  for (const name of options.slaves) standbys.push(await world.host(name));
  const systemIdentifier = options.systemIdentifier ?? 7_000_000_000_000_000_001n;
  const pgdata = join(host.directory, 'pgdata');
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  writeControlFile(pgdata, systemIdentifier);
  const iniFile = join(host.directory, 'cmd_archiver.ini');
  const lArchiveDir = String(options.ini?.['l_archivedir'] ?? join(host.directory, 'l_archive'));
  const keys = { ...defaultKeys(host, world, standbys, pgdata, lArchiveDir), ...options.ini };
  const sections: Record<string, IniKeys> = Object.fromEntries(
    standbys.map((standby) => [standby.name, { r_archivedir: standby.archiveDir }]),
  );
  const begin = (args: readonly string[], startOptions: StartOptions = {}): Running =>
    start(checkout('bin', 'cmd_archiver'), ['-C', iniFile, ...args], {
      cwd: pgdata,
      env: host.env,
      ...startOptions,
    });
  const cluster: FakeCluster = {
    host,
    pgdata,
    iniFile,
    lArchiveDir,
    systemIdentifier,
    standbys,
    segment: (number, timeline = 1) => walName(timeline, BigInt(number), '15', segmentBytes),
    addSegment: (name, spec = {}) => {
      const bytes = buildWal({ name, systemIdentifier, version: '15', segmentBytes, ...spec });
      writeFileSync(join(pgdata, 'pg_wal', name), bytes, { mode: 0o600 });
      return bytes;
    },
    addFile: (name, content) => {
      writeFileSync(join(pgdata, 'pg_wal', name), content, { mode: 0o600 });
    },
    writeIni: (changes, own = {}) => {
      Object.assign(keys, changes);
      for (const [name, more] of Object.entries(own)) sections[name] = { ...sections[name], ...more };
      writeIni(iniFile, { keys, sections });
    },
    run: (args, startOptions) => begin(args, startOptions).finished,
    start: begin,
    archive: (name) => begin(['-F', `pg_wal/${name}`]).finished,
    queue: (standby) => {
      const queue = join(lArchiveDir, standby);
      return existsSync(queue) ? readdirSync(queue).sort() : [];
    },
    forgetTrouble: (standby) => {
      const file = join(lArchiveDir, '.archiver', `${standby}.json`);
      const state = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      delete state['retryAt'];
      rmSync(file);
      writeFileSync(file, JSON.stringify(state));
    },
    state: (standby) =>
      JSON.parse(readFileSync(join(lArchiveDir, '.archiver', `${standby}.json`), 'utf8')) as Record<
        string,
        unknown
      >,
  };
  cluster.writeIni({});
  return cluster;
}

function defaultKeys(
  host: Host,
  world: World,
  standbys: readonly Host[],
  pgdata: string,
  lArchiveDir: string,
): Record<string, string | number | undefined> {
  return {
    pgdata,
    l_archivedir: lArchiveDir,
    r_archivedir: '/nonexistent/archive',
    ssh: host.ssh,
    rsync_bin: '/usr/bin/rsync',
    slaves: standbys.map(({ name }) => name).join(', '),
    user: world.user,
    ssh_timeout: 3,
    notify_ok: host.notify('ok'),
    notify_warning: host.notify('warning'),
    notify_critical: host.notify('critical'),
  };
}
