import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../../test/harness/host.ts';
import { serverProgram } from '../../../test/harness/postgres-programs.ts';
import { type Finished, run } from '../../../test/harness/processes.ts';
import { createServer, makeCluster, type Server } from '../../../test/harness/server.ts';
import type { World } from '../../../test/harness/world.ts';
import { mustSucceed } from './base-backup-site.ts';
import { hostKeys } from './ssh-script.ts';

/** A server that repmgr manages. */
export interface Node {
  readonly host: Host;
  readonly server: Server;
  /** Runs repmgr on this node's host. */
  readonly repmgr: (args: readonly string[]) => Promise<Finished>;
}

export function repmgrProgram(major: number): string {
  return `/usr/lib/postgresql/${String(major)}/bin/repmgr`;
}

/** Every interval and every pause that repmgr.conf has is at its least; the timeouts only end a switchover that fails. */
function configuration(number: number, { host, server }: Pick<Node, 'host' | 'server'>): string {
  const { port, user, pgdata, log, major } = server;
  const bin = serverProgram(major, 'pg_ctl');
  return Object.entries({
    node_id: number,
    node_name: host.name,
    conninfo: `host=${host.address} port=${String(port)} user=${user} dbname=repmgr connect_timeout=2`,
    data_directory: pgdata,
    pg_bindir: bin.replace(/\/pg_ctl$/, ''),
    ssh_options: `-q -F ${join(host.directory, 'ssh', 'config')} ${hostKeys}`,
    // repmgr's own way, with a log.
    service_start_command: `${bin} -w -D ${pgdata} -l ${log} start`,
    promote_check_interval: 1,
    promote_check_timeout: 60,
    shutdown_check_timeout: 60,
    wal_receive_check_timeout: 30,
    standby_reconnect_timeout: 60,
    node_rejoin_timeout: 30,
    log_level: 'NOTICE',
  })
    .map(([name, value]) => `${name}='${String(value)}'\n`)
    .join('');
}

async function makeNode(world: World, number: number, name: string): Promise<Node> {
  const host = await world.host(name);
  const directory = join(host.directory, 'repmgr');
  mkdirSync(directory, { mode: 0o700 });
  const place = { major: world.major, user: world.user, host, port: await world.port(), env: host.env };
  const server = createServer({
    ...place,
    pgdata: join(directory, 'pgdata'),
    socketDirectory: join(host.directory, 'run'),
    log: join(directory, 'postgresql.log'),
  });
  const file = join(directory, 'repmgr.conf');
  writeFileSync(file, configuration(number, { host, server }));
  const repmgr = (args: readonly string[]): Promise<Finished> =>
    run(repmgrProgram(world.major), ['-f', file, ...args], { env: host.env, cwd: directory });
  world.onClose(async () => {
    if (server.isRunning()) await server.kill9();
  });
  return { host, server, repmgr };
}

/** A primary and its streaming standby, on hosts that exist already: the settings are those of the other servers. */
export async function makeRepmgrPair(
  world: World,
  names: readonly [string, string],
): Promise<readonly [Node, Node]> {
  const nodes = [await makeNode(world, 1, names[0]), await makeNode(world, 2, names[1])] as const;
  const [primary, standby] = nodes;
  await makeCluster(primary.server, {
    settings: {
      listen_addresses: `127.0.0.1, ${primary.host.address}`,
      shared_preload_libraries: 'repmgr',
      wal_log_hints: true,
      archive_mode: false,
      log_timezone: 'UTC',
    },
  });
  await primary.server.start();
  await primary.server.sql('CREATE DATABASE repmgr');
  mustSucceed(await primary.repmgr(['primary', 'register']));
  const { address } = primary.host;
  const from = ['-h', address, '-p', String(primary.server.port), '-U', world.user, '-d', 'repmgr'];
  mustSucceed(await standby.repmgr([...from, 'standby', 'clone', '--fast-checkpoint']));
  standby.server.configure({
    listen_addresses: `127.0.0.1, ${standby.host.address}`,
    port: standby.server.port,
    unix_socket_directories: standby.server.socketDirectory,
  });
  await standby.server.start();
  mustSucceed(await standby.repmgr(['standby', 'register', '--wait-sync']));
  return nodes;
}

/** ERR_SWITCHOVER_INCOMPLETE: the roles have changed, but the old primary was seen before it had begun to stream. */
const incomplete = 22;

export async function repmgrSwitchover({ repmgr }: Node): Promise<void> {
  const { code, stdout, stderr } = await repmgr(['standby', 'switchover']);
  if (code !== 0 && code !== incomplete)
    throw new Error(`repmgr standby switchover exited ${String(code)}: ${stdout}${stderr}`);
}
