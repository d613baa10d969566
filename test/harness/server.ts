import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { messageOf } from '../../src/errors.ts';
import { eventually } from './eventually.ts';
import { newCluster } from './new-cluster.ts';
import { serverProgram } from './postgres-programs.ts';
import { familyOf, processEntry, readProc } from './process-table.ts';
import { killAll, mustRun, sendSignal, stoppedFamily } from './processes.ts';

type Row = Record<string, unknown>;
/** `undefined` takes a setting of ours out of the file. */
export type ServerSettings = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ServerPlace {
  readonly major: number;
  readonly pgdata: string;
  readonly socketDirectory: string;
  readonly port: number;
  readonly log: string;
  /** Superuser: the operating system's user. */
  readonly user: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface Server extends ServerPlace {
  start(): Promise<void>;
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  restart(): Promise<void>;
  reload(): Promise<void>;
  /** SIGKILL, first to the postmaster; then to all that it had started too, as when the machine loses its power. */
  kill9(which?: 'machine' | 'postmaster'): Promise<void>;
  /** Pid of the living postmaster. */
  postmaster(): number | undefined;
  isRunning(): boolean;
  /** One statement, or several without parameters: the rows of the last one. */
  sql(text: string, parameters?: unknown[]): Promise<Row[]>;
  /** First column of the first row, as text. */
  value(text: string, parameters?: unknown[]): Promise<string>;
  /** A session of its own for as long as the callback takes. */
  withSession<T>(use: (client: pg.Client) => Promise<T>): Promise<T>;
  /** Ends the current segment and returns its name. Nothing written since the last switch: writes a record first. */
  switchWal(): Promise<string>;
  /** Files in pg_wal with their .ready or .done mark. */
  archiveStatus(): string[];
  /** Sets parameters in postgresql.conf; `reload()` or `restart()` puts them into force. */
  configure(settings: ServerSettings): void;
  logText(): string;
}

/** Handles for a data directory that may not yet exist: a standby's is made by the program under test. */
export function createServer(place: ServerPlace): Server {
  const pgCtl = (...args: string[]): Promise<string> =>
    mustRun(serverProgram(place.major, 'pg_ctl'), ['-D', place.pgdata, ...args], { env: place.env });
  const server: Server = {
    ...place,
    start: async () => {
      forgetZombie(place.pgdata);
      await pgCtl('-w', '-t', '60', '-l', place.log, 'start').catch((error: unknown) => {
        throw new Error(`${messageOf(error)}\n${server.logText().slice(-2000)}`, { cause: error });
      });
    },
    stop: async (mode = 'fast') => {
      await pgCtl('-w', '-t', '60', '-m', mode, 'stop');
    },
    restart: async () => {
      await pgCtl('-w', '-t', '60', '-m', 'fast', '-l', place.log, 'restart');
    },
    reload: async () => {
      await pgCtl('reload');
    },
    kill9: (which = 'machine') => kill9(place, which),
    postmaster: () => postmasterPid(place.pgdata),
    isRunning: () => postmasterPid(place.pgdata) !== undefined,
    sql: (text, parameters) => withSession(place, (client) => query(client, text, parameters)),
    value: async (text, parameters) => {
      const [row] = await server.sql(text, parameters);
      return String(Object.values(row ?? {})[0]);
    },
    withSession: (use) => withSession(place, use),
    switchWal: () => switchWal(server),
    archiveStatus: () => readdirSync(join(place.pgdata, 'pg_wal', 'archive_status')).sort(),
    configure: (settings) => {
      appendFileSync(join(place.pgdata, 'postgresql.conf'), settingLines(settings));
    },
    logText: () => (existsSync(place.log) ? readFileSync(place.log, 'utf8') : ''),
  };
  return server;
}

export interface NewCluster {
  /** 1 to 1024; other than 16 from PostgreSQL 11. */
  readonly walSegmentMb?: number | undefined;
  readonly checksums?: boolean | undefined;
  /** The operating system's group reads the data directory; from 11. */
  readonly groupAccess?: boolean | undefined;
  readonly settings: ServerSettings;
}

export const trustingHba = [
  'local all all trust',
  'local replication all trust',
  'host all all 127.0.0.0/8 trust',
  'host replication all 127.0.0.0/8 trust',
  '',
].join('\n');

/** initdb with the settings of a test server; `pg_hba.conf` trusts everybody on this machine. */
export async function makeCluster(place: ServerPlace, cluster: NewCluster): Promise<void> {
  const segment = cluster.walSegmentMb === undefined ? [] : ['--wal-segsize', String(cluster.walSegmentMb)];
  await newCluster({
    major: place.major,
    pgdata: place.pgdata,
    args: [
      ...['-U', place.user, '--locale=C', '-E', 'UTF8', '--no-sync', '-A', 'trust'],
      ...segment,
      ...(cluster.groupAccess === true ? ['--allow-group-access'] : []),
      ...checksumFlags(place.major, cluster.checksums),
    ],
    env: place.env,
  });
  appendFileSync(
    join(place.pgdata, 'postgresql.conf'),
    settingLines({ ...baseSettings(place), ...cluster.settings }),
  );
  writeFileSync(join(place.pgdata, 'pg_hba.conf'), trustingHba);
}

/** 18 made them the default, and brought the flag that leaves them out. */
function checksumFlags(major: number, wanted: boolean | undefined): string[] {
  if (wanted === undefined) return [];
  if (wanted) return ['--data-checksums'];
  return major >= 18 ? ['--no-data-checksums'] : [];
}

/** What every test server has, primary and standby. fsync is off: these tests kill processes, not the machine. */
export function baseSettings(place: ServerPlace): ServerSettings {
  return {
    port: place.port,
    unix_socket_directories: place.socketDirectory,
    fsync: false,
    wal_level: 'replica',
    max_wal_senders: 10,
    hot_standby: true,
    max_connections: 40,
    shared_buffers: '16MB',
    archive_timeout: 0,
    autovacuum: false,
    log_line_prefix: '%m [%p] ',
    log_min_messages: 'info',
  };
}

export function settingLines(settings: ServerSettings): string {
  return Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} = '${settingText(value).replaceAll("'", "''")}'\n`)
    .join('');
}

function settingText(value: string | number | boolean | undefined): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}

async function withSession<T>(place: ServerPlace, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    host: place.socketDirectory,
    port: place.port,
    user: place.user,
    database: 'postgres',
  });
  // A server that is killed under a session is what these tests are for; the query itself fails anyhow.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function query(client: pg.Client, text: string, parameters?: unknown[]): Promise<Row[]> {
  const result: unknown = await client.query(text, parameters);
  const last: unknown = Array.isArray(result) ? result.at(-1) : result;
  return (last as pg.QueryResult<Row>).rows;
}

async function switchWal(server: Server): Promise<string> {
  return server.withSession(async (client) => {
    await client.query('SELECT txid_current()');
    // The switch returns the position behind the last record: "minus one" lies in the segment that was ended.
    const name = await query(client, 'SELECT pg_walfile_name(pg_switch_wal()) AS name');
    return String(name[0]?.['name']);
  });
}

function postmasterPid(pgdata: string): number | undefined {
  const file = join(pgdata, 'postmaster.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  return processEntry(pid)?.workingDirectory.startsWith(pgdata) === true ? pid : undefined;
}

/**
 * A killed postmaster stays in the process table until it is reaped, and looks alive to the next one.
 * If the first process of a container reaps nothing, that is forever.
 */
function forgetZombie(pgdata: string): void {
  const file = join(pgdata, 'postmaster.pid');
  if (!existsSync(file)) return;
  const [pid, , , port = '', socketDirectory = ''] = readFileSync(file, 'utf8').split('\n');
  if (!readProc(Number(pid), 'stat').includes(') Z ')) return;
  rmSync(file);
  // It has the same process in it, which may be a zombie still when the server comes to that.
  if (socketDirectory !== '') rmSync(join(socketDirectory, `.s.PGSQL.${port}.lock`), { force: true });
}

async function kill9(place: ServerPlace, which: 'machine' | 'postmaster'): Promise<void> {
  const postmaster = postmasterPid(place.pgdata);
  if (postmaster === undefined) throw new Error(`no server runs in ${place.pgdata}`);
  const family = which === 'machine' ? stoppedFamily(postmaster) : familyOf(postmaster);
  sendSignal(postmaster, 'SIGKILL');
  if (which === 'machine') killAll(family);
  // Orphans of the postmaster notice its death by themselves; processes that archive_command started may continue.
  const gone = family.filter(
    ({ pid, parent }) => which === 'machine' || pid === postmaster || parent === postmaster,
  );
  await eventually(() => gone.every(({ pid }) => processEntry(pid) === undefined), {
    limitMs: 60_000,
    what: `end of all processes of ${place.pgdata}`,
  });
}
