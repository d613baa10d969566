import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostNetwork } from './host-networks.ts';
import { type Finished, run, type StartOptions } from './processes.ts';
import { createSshd, type Sshd, type SshKeys } from './sshd.ts';

/** Where one host's ssh finds another one. */
interface Route {
  readonly address: string;
  readonly port: number;
}

interface Notification {
  /** What the INI gave the script: `ok`, `warning` or `critical`. */
  readonly severity: string;
  readonly message: string;
}

/** A machine of the world: an address, a directory tree and an sshd of its own. */
export interface Host {
  readonly name: string;
  readonly directory: string;
  /** The address of this host in 127.0.0.0/8: no other host of any world has it. With networks of its own: in 10.99.0.0/24. */
  readonly address: string;
  readonly sshd: Sshd;
  /** Where WAL arrives when this host is a standby: its archivedir, the archiver's r_archivedir. */
  readonly archiveDir: string;
  /** Value for the INI's `ssh:`; from here, each host of the world is known by its name and its address. */
  readonly ssh: string;
  /** Environment of everything that runs on this host. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs a command on another host through ssh, as this one's programs would. */
  runOn(target: string, command: string, options?: StartOptions): Promise<Finished>;
  /** From now on this host's ssh goes elsewhere for `target`; without a route, back to its sshd. */
  routeTo(target: Host, route?: Route): void;
  /** Its own, if the world has such. */
  readonly network: HostNetwork | undefined;
  /** Command for the INI's `notify_*` keys. */
  notify(severity: 'ok' | 'warning' | 'critical'): string;
  /** What the notify commands were called with, oldest first. */
  notifications(): Notification[];
  /** Environment variables PITRTOOLS_* of each notify call, oldest first. */
  notificationFacts(): Record<string, string>[];
}

export interface HostPlace {
  readonly name: string;
  readonly world: string;
  readonly address: string;
  readonly sshPort: number;
  readonly user: string;
  readonly archiveDir?: string | undefined;
  readonly network?: HostNetwork | undefined;
}

const acceptNew = ['-o', 'StrictHostKeyChecking=accept-new'];

export function createHost(keys: SshKeys, place: HostPlace): Host {
  const directory = join(place.world, place.name);
  for (const folder of ['ssh', 'bin', 'home', 'run'])
    mkdirSync(join(directory, folder), { recursive: true, mode: 0o700 });
  const sshConfig = join(directory, 'ssh', 'config');
  const routes = new Map<string, { host: Host; route: Route }>();
  writeFileSync(sshConfig, sshDefaults(keys, place, directory));
  writeFileSync(join(directory, 'bin', 'notify'), notifyScript(directory), { mode: 0o700 });

  const env = hostEnvironment(place, directory);
  const host: Host = {
    name: place.name,
    directory,
    address: place.address,
    sshd: createSshd(keys, {
      directory: join(directory, 'ssh'),
      address: place.address,
      port: place.sshPort,
      world: place.world,
      env: place.network?.env,
    }),
    archiveDir: place.archiveDir ?? join(directory, 'archive'),
    ssh: `/usr/bin/ssh -F ${sshConfig}`,
    network: place.network,
    env,
    runOn: (target, command, options = {}) =>
      run('/usr/bin/ssh', ['-F', sshConfig, '-o', 'BatchMode=yes', ...acceptNew, target, command], {
        env,
        ...options,
      }),
    routeTo: (target, route = target.sshd) => {
      routes.set(target.name, { host: target, route });
      writeFileSync(
        sshConfig,
        [...routes.values()].map(routeLines).join('') + sshDefaults(keys, place, directory),
      );
    },
    notify: (severity) => `${join(directory, 'bin', 'notify')} ${severity}`,
    notifications: () => readNotifications(directory),
    notificationFacts: () => readFacts(directory),
  };
  return host;
}

function hostEnvironment(place: HostPlace, directory: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: join(directory, 'home'),
    USER: place.user,
    LOGNAME: place.user,
    LC_ALL: process.env['LC_ALL'] ?? 'C',
    TMPDIR: process.env['TMPDIR'],
    PITRTOOLS_NODE: process.execPath,
    PITRTOOLS_TEST_WORLD: place.world,
    ...place.network?.env,
  };
}

function sshDefaults(keys: SshKeys, place: HostPlace, directory: string): string {
  const known = join(directory, 'ssh', 'known_hosts');
  return `Host *
  User ${place.user}
  IdentityFile ${keys.identity}
  IdentitiesOnly yes
  UserKnownHostsFile ${known}
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`;
}

function routeLines({ host, route }: { host: Host; route: Route }): string {
  return `Host ${host.name} ${host.address}\n  HostName ${route.address}\n  Port ${route.port}\n`;
}

/** One line per call, and the facts of the call between two markers; several may call at once, so each appends once. */
function notifyScript(directory: string): string {
  return `#!/bin/sh
severity=$1
shift
message=$(printf '%s' "$*" | tr '\\n\\t' '  ')
printf '%s\\t%s\\n' "$severity" "$message" >> '${join(directory, 'notify.log')}'
{ env | grep '^PITRTOOLS_' | grep -v '^PITRTOOLS_TEST_'; echo '--'; } | tr '\\n' '\\t' >> '${join(directory, 'notify.facts')}'
`;
}

function readNotifications(directory: string): Notification[] {
  return linesOf(join(directory, 'notify.log'), '\n').map((line) => {
    const [severity = '', message = ''] = line.split('\t');
    return { severity, message };
  });
}

function readFacts(directory: string): Record<string, string>[] {
  return linesOf(join(directory, 'notify.facts'), '--\t').map((call) =>
    Object.fromEntries(
      call
        .split('\t')
        .filter((fact) => fact.includes('='))
        .map((fact) => [fact.slice(0, fact.indexOf('=')), fact.slice(fact.indexOf('=') + 1)]),
    ),
  );
}

function linesOf(file: string, separator: string): string[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split(separator)
    .filter((line) => line !== '');
}

/** A small executable script on a host, for `action_failover` and the like; returns its path. */
export function writeScript(host: Host, name: string, body: string): string {
  const file = join(host.directory, 'bin', name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o700 });
  return file;
}
