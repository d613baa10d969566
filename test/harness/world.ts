import { mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { checkout } from './checkout.ts';
import { createHost, type Host } from './host.ts';
import { type HostNetworks, makeHostNetworks } from './host-networks.ts';
import { reserveNetwork, reservePort } from './ports.ts';
import { createPrimary, type Primary, primaryOn, type PrimaryOptions } from './primary.ts';
import { processesOf } from './process-table.ts';
import {
  endWithUs,
  type Finished,
  killAll,
  lingering,
  type Running,
  start,
  type StartOptions,
} from './processes.ts';
import { removeTree } from './remove-tree.ts';
import { createServer, type Server } from './server.ts';
import { makeKeys, type SshKeys } from './sshd.ts';
import { createStandby, type Standby, type StandbyOptions } from './standby.ts';

export interface WorldOptions {
  readonly major: number;
  /** Each host has a network of its own: not every kernel allows it (missingHostNetworks). */
  readonly hasNetworks?: boolean;
  /** Beside its network each host has a root of its own, made by this script in it (missingHostRoots). */
  readonly rootOf?: ((directory: string, name: string) => string) | undefined;
}

interface HostOptions {
  /** On a small disk, say; `archive` in the host's directory by default. */
  readonly archiveDir?: string;
}

interface ProgramOptions extends StartOptions {
  /** INI file in place of the host's own; `null` leaves `-C` out. */
  readonly ini?: string | null;
  /** Variables over those of the host; `undefined` takes one out. */
  readonly variables?: NodeJS.ProcessEnv;
}

/** Hosts on loopback with sshd, servers and programs, in a directory that `close()` removes. */
export interface World {
  readonly directory: string;
  readonly major: number;
  /** The operating system's user: ssh login, owner of all files, superuser of all clusters. */
  readonly user: string;
  /** The host of this name; made, with a running sshd, when it is first asked for. */
  host(name: string, options?: HostOptions): Promise<Host>;
  startPrimary(options?: PrimaryOptions): Promise<Primary>;
  addStandby(name: string, primary: Primary, options?: StandbyOptions): Promise<Standby>;
  /** A standby as the primary that it is to become: writes its cmd_archiver.ini, and nothing else. */
  asPrimary(standby: Standby, slaves: readonly string[]): Promise<Primary>;
  /** A port for something else of the test's own. */
  port(): Promise<number>;
  startArchiver(primary: Primary, args: readonly string[], options?: ProgramOptions): Running;
  startStandby(standby: Standby, args: readonly string[], options?: ProgramOptions): Running;
  cmdArchiver(primary: Primary, args: readonly string[], options?: ProgramOptions): Promise<Finished>;
  cmdStandby(standby: Standby, args: readonly string[], options?: ProgramOptions): Promise<Finished>;
  /** Something that `close()` has to undo, latest first. */
  onClose(undo: () => Promise<void> | void): void;
  /** Ends every server and sshd, removes the directory and fails if a process of the world was still there. */
  close(): Promise<void>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  if (process.getuid?.() === 0) throw new Error('PostgreSQL refuses root: start the tests by scripts/test');
  const directory = realpathSync(mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'w-')));
  const forget = endWithUs(directory);
  const undo: (() => Promise<void> | void)[] = [forget];
  const network = await reserveNetwork();
  undo.push(() => network.release());
  const keys = await makeKeys(join(directory, 'keys'));
  const networks = await networksOf(options, directory);
  if (networks !== undefined) undo.push(() => networks.close());
  const prefix = networks === undefined ? network.prefix : '10.99.0';
  return assemble({ directory, keys, prefix, networks, undo, user: userInfo().username, ...options });
}

async function networksOf(options: WorldOptions, directory: string): Promise<HostNetworks | undefined> {
  if (options.hasNetworks !== true) return undefined;
  return makeHostNetworks(directory);
}

interface Ground extends WorldOptions {
  readonly directory: string;
  readonly networks: HostNetworks | undefined;
  readonly keys: SshKeys;
  readonly prefix: string;
  readonly user: string;
  readonly undo: (() => Promise<void> | void)[];
}

function assemble(ground: Ground): World {
  const { directory, user, major, undo } = ground;
  const hosts = new Map<string, Promise<Host>>();
  const servers: Server[] = [];
  const port = async (): Promise<number> => {
    const reserved = await reservePort();
    undo.push(() => reserved.release());
    return reserved.number;
  };
  const host = (name: string, options?: HostOptions): Promise<Host> => {
    const known = hosts.get(name) ?? settle(ground, { name, ...options }, hosts, port);
    hosts.set(name, known);
    return known;
  };
  return {
    directory,
    major,
    user,
    host,
    port,
    startPrimary: async (options = {}) => {
      const place = { major, user, host: await host(options.name ?? 'primary'), port: await port() };
      const slaves = await inOrder(options.slaves ?? [], (name) => host(name));
      servers.push(serverAt({ ...place, pgdata: join(place.host.directory, 'pgdata') }));
      return createPrimary({ ...place, slaves }, options);
    },
    addStandby: async (name, primary, options = {}) => {
      const standby = createStandby(
        { major, user, host: await host(name), port: options.port ?? (await port()), primary },
        options,
      );
      servers.push(standby);
      return standby;
    },
    asPrimary: async (standby, names) => {
      const { host: itsHost } = standby;
      const lArchiveDir = join(itsHost.directory, 'l_archive');
      const slaves = await inOrder(names, (name) => host(name));
      return primaryOn({ host: itsHost, server: standby, user, slaves, lArchiveDir });
    },
    startArchiver: (primary, args, options) => startProgram('cmd_archiver', primary, args, options),
    startStandby: (standby, args, options) => startProgram('cmd_standby', standby, args, options),
    cmdArchiver: (primary, args, options) => startProgram('cmd_archiver', primary, args, options).finished,
    cmdStandby: (standby, args, options) => startProgram('cmd_standby', standby, args, options).finished,
    onClose: (action) => undo.push(action),
    close: () => close(ground, servers, hosts),
  };
}

/** Makes a host and lets every host find every other one. */
async function settle(
  ground: Ground,
  wanted: { name: string } & HostOptions,
  hosts: ReadonlyMap<string, Promise<Host>>,
  port: () => Promise<number>,
): Promise<Host> {
  const others = [...hosts.values()];
  const address = `${ground.prefix}.${others.length + 1}`;
  const host = createHost(ground.keys, {
    ...wanted,
    world: ground.directory,
    address,
    sshPort: await port(),
    user: ground.user,
    network: await ground.networks?.add(
      address,
      ground.rootOf?.(join(ground.directory, wanted.name), wanted.name),
    ),
  });
  await host.sshd.start();
  host.routeTo(host);
  for (const other of await Promise.all(others)) {
    other.routeTo(host);
    host.routeTo(other);
  }
  return host;
}

interface ProgramPlace {
  readonly host: Host;
  readonly iniFile: string;
}

function startProgram(
  program: string,
  place: ProgramPlace,
  args: readonly string[],
  options: ProgramOptions = {},
): Running {
  const ini = options.ini === null ? [] : ['-C', options.ini ?? place.iniFile];
  return start(checkout('bin', program), [...ini, ...args], {
    cwd: place.host.directory,
    ...options,
    env: { ...place.host.env, ...options.env, ...options.variables },
  });
}

function serverAt(place: { major: number; user: string; host: Host; port: number; pgdata: string }): Server {
  const { host } = place;
  return createServer({
    ...place,
    socketDirectory: join(host.directory, 'run'),
    log: join(host.directory, 'postgresql.log'),
    env: host.env,
  });
}

async function inOrder<T, R>(items: readonly T[], make: (item: T) => Promise<R>): Promise<R[]> {
  const made: R[] = [];
  for (const item of items) made.push(await make(item));
  return made;
}

/** How long a process may take to notice that its world has gone. */
const graceMs = 3_000;

async function close(
  ground: Ground,
  servers: readonly Server[],
  hosts: ReadonlyMap<string, Promise<Host>>,
): Promise<void> {
  // Two of them may be the same server: a primary that has become a standby.
  for (const server of servers) if (server.isRunning()) await server.kill9();
  // archive_command starts a shipper that outlives it: with the server gone it would still wait for its return.
  killAll(
    processesOf(ground.directory).filter(({ commandLine }) => / --ship\b/.test(commandLine)),
    'SIGTERM',
  );
  for (const host of await Promise.all(hosts.values())) await host.sshd.kill();
  for (const action of ground.undo.splice(1).reverse()) await action();
  const left = await lingering(ground.directory, graceMs);
  killAll(left);
  removeTree(ground.directory);
  await ground.undo[0]?.();
  if (left.length > 0) {
    const list = left.map(({ pid, commandLine }) => `  ${pid} ${commandLine}`).join('\n');
    throw new Error(`processes of the world were left behind:\n${list}`);
  }
}
