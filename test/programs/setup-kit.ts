import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { debianMajor } from '../harness/postgres-programs.ts';
import { type Finished, mustRun, run, start, type StartOptions } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';

export const major = debianMajor();
export const cluster = `${major}/main`;
export const pgdata = `/var/lib/postgresql/${major}/main`;
export const archive = '/var/lib/postgresql/archive';
export const user = userInfo().username;

/** How a host has its servers. */
export interface Layout {
  /** The directories of a host that are its own, by the place where it sees them. */
  readonly own: Readonly<Record<string, string>>;
  /** The home of PostgreSQL's user. */
  readonly home: string;
  /** Lines of sh that make room for these directories, where this machine has no such place. */
  readonly room: (root: string) => readonly string[];
  /** systemctl, for the server's own unit. */
  readonly systemctl: string;
  /** As the package does it when it is installed: the cluster is made and started. */
  readonly createCluster: (world: World, host: DebianHost, env: NodeJS.ProcessEnv) => Promise<void>;
}

/**
 * A root of its own for a host: /etc (with clusters, INI files, host keys and names), the home of PostgreSQL's user, its
 * logs, and /run. Programs are those of this machine.
 */
function rootScript({ own, home, room }: Layout, directory: string, name: string): string {
  const root = join(directory, 'root');
  const { uid, gid } = userInfo();
  return [
    'export PATH=$PATH:/usr/sbin:/sbin',
    `mkdir -p ${Object.keys(own)
      .map((folder) => `${root}/${folder}`)
      .join(' ')}`,
    ...room(root),
    // Files that only root can read stay out.
    `cp -r --preserve=mode,links /etc/. ${root}/etc 2>/dev/null || :`,
    `chmod -R u+rwX ${root}/etc`,
    `rm -rf ${root}/etc/postgresql ${root}/etc/pitrtools ${root}/etc/cron.d ${root}/etc/ssh/ssh_host_* ${root}/etc/hosts`,
    `mkdir -p ${root}/etc/postgresql && mkdir -m 0750 ${root}/etc/pitrtools`,
    `sed -i '/^${user}:/d' ${root}/etc/passwd`,
    `echo '${user}:x:${uid}:${gid}::${home}:/bin/sh' >> ${root}/etc/passwd`,
    `printf '127.0.0.1 localhost\\n10.99.0.1 alpha\\n10.99.0.2 beta\\n10.99.0.3 gamma\\n' > ${root}/etc/hosts`,
    `ssh-keygen -q -t ed25519 -N '' -C ${name} -f ${root}/etc/ssh/ssh_host_ed25519_key`,
    ...Object.entries(own).map(([folder, place]) => `mount --bind ${root}/${folder} ${place}`),
    // systemd seems to run here: its commands are shown, and a stand-in takes them.
    'mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -p /run/postgresql /run/systemd/system',
    `hostname ${name}`,
    'echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start',
  ].join('\n');
}

/** A host of its own namespaces on which a Debian package has just made a cluster. */
export interface DebianHost {
  readonly host: Host;
  /** A file as the host names it, where this process finds it. */
  readonly at: (path: string) => string;
  /** Types a line as the owner of the cluster would. */
  readonly type: (line: string, options?: StartOptions) => Promise<Finished>;
  readonly sql: (statement: string) => Promise<string>;
  readonly startSshd: () => Promise<void>;
  readonly stopSshd: () => Promise<void>;
}

/** systemctl start, stop and restart of a server's unit, as Debian's unit does it. */
const debianSystemctl = `
[ "$1" != enable ] || { echo "$@" >> /run/enabled; exit; }
case $2 in postgresql@*) ;; *) echo "no such unit: $2" >&2; exit 1 ;; esac
cluster=\${2#postgresql@}
exec /usr/bin/pg_ctlcluster "\${cluster%%-*}" "\${cluster#*-}" "$1"`;

function placeOf({ own }: Layout, host: Host, path: string): string {
  const [folder, place] = Object.entries(own).find(([, there]) => path.startsWith(`${there}/`)) ?? [];
  if (folder === undefined || place === undefined) throw new Error(`${path} is not the host's own`);
  return join(host.directory, 'root', folder, path.slice(place.length));
}

function environmentOf({ home }: Layout, host: Host): NodeJS.ProcessEnv {
  return {
    ...host.env,
    HOME: home,
    USER: user,
    LOGNAME: user,
    PATH: [join(host.directory, 'bin'), checkout('bin'), host.env['PATH']].join(':'),
    LC_ALL: 'C.UTF-8',
  };
}

async function makeHost(layout: Layout, world: World, name: string): Promise<DebianHost> {
  const host = await world.host(name);
  const env = environmentOf(layout, host);
  writeScript(host, 'systemctl', layout.systemctl);
  let sshd: ReturnType<typeof start> | undefined;
  const type = (line: string, options: StartOptions = {}) =>
    run('sh', ['-c', line], { ...options, env: { ...env, ...options.env } });
  const config = join(host.directory, 'root', 'etc', 'sshd.conf');
  writeFileSync(config, sshdLines(world));
  const debianHost: DebianHost = {
    host,
    at: (path) => placeOf(layout, host, path),
    type,
    sql: async (statement) => (await mustRun('psql', ['-XAtqc', statement, 'postgres'], { env })).trim(),
    startSshd: async () => {
      const args = ['-D', '-f', '/etc/sshd.conf', '-E', join(host.directory, 'own-sshd.log')];
      sshd = start('/usr/sbin/sshd', args, { env, limitMs: 86_400_000 });
      await eventually(
        async () => (await type(`ssh-keyscan -T 1 ${name} 2>/dev/null | grep -q .`)).code === 0,
        { what: `sshd of ${name}` },
      );
    },
    stopSshd: async () => {
      sshd?.killFamily();
      await sshd?.finished;
    },
  };
  await layout.createCluster(world, debianHost, env);
  world.onClose(() => debianHost.stopSshd());
  await debianHost.startSshd();
  return debianHost;
}

function sshdLines(world: World): string {
  return [
    'Port 22',
    'HostKey /etc/ssh/ssh_host_ed25519_key',
    'PidFile none',
    'UsePAM no',
    'StrictModes no',
    'AcceptEnv LANG LC_*',
    // The user's own keys are in the second one, if there are any.
    'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/own_keys',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    `SetEnv PITRTOOLS_TEST_WORLD=${world.directory}`,
    '',
  ].join('\n');
}

const debian: Layout = {
  own: { etc: '/etc', lib: '/var/lib/postgresql', log: '/var/log/postgresql' },
  home: '/var/lib/postgresql',
  room: () => [],
  systemctl: debianSystemctl,
  createCluster: async (world, { at, type }, env) => {
    const [version = '', name = ''] = cluster.split('/');
    const make = [version, name, '--start-conf', 'manual', '--', '--no-sync'];
    await mustRun('/usr/bin/pg_createcluster', make, { env });
    // Nobody waits for a disk here.
    writeFileSync(at(`/etc/postgresql/${cluster}/conf.d/test.conf`), "fsync = 'off'\n");
    await mustRun('/usr/bin/pg_ctlcluster', [version, name, 'start'], { env });
    world.onClose(async () => {
      await type(`/usr/bin/pg_ctlcluster ${version} ${name} stop -m immediate`);
    });
  },
};

export interface Pair {
  readonly world: World;
  readonly alpha: DebianHost;
  readonly beta: DebianHost;
}

export interface Three extends Pair {
  readonly gamma: DebianHost;
}

type NewHost = (name: string) => Promise<DebianHost>;

async function newHosts<T>(layout: Layout, make: (newHost: NewHost) => Promise<T>) {
  const rootOf = (directory: string, name: string) => rootScript(layout, directory, name);
  const world = await createWorld({ major, hasNetworks: true, rootOf });
  try {
    return { world, ...(await make((name) => makeHost(layout, world, name))) };
  } catch (error) {
    await world.close();
    throw error;
  }
}

/** Two hosts after the installation of PostgreSQL and of our programs: nothing of ours is set up. */
export function newPair(layout = debian): Promise<Pair> {
  return newHosts(layout, async (newHost) => ({
    alpha: await newHost('alpha'),
    beta: await newHost('beta'),
  }));
}

/** One host more. */
export function newThree(): Promise<Three> {
  return newHosts(debian, async (newHost) => ({
    alpha: await newHost('alpha'),
    beta: await newHost('beta'),
    gamma: await newHost('gamma'),
  }));
}

/** The line with a public key of a host, as its --setup prints it for the other one. */
export function keyOf({ at }: DebianHost, side: string): string {
  return readFileSync(at(`/etc/pitrtools/ssh/id_${side}.pub`), 'utf8').trim();
}

/** A transfer that comes after its delivery was given up, on a slow machine, lacks no right. */
const isLate = (line: string): boolean =>
  /: there is no directory \.incoming\/\S+ in the archive$/.test(line);

/** What the programs of restricted keys have refused on this host. */
export function refusalsOn(host: DebianHost): readonly string[] {
  const files = [`${archive}/.cmd_standby.refused`, '/var/lib/postgresql/queues/.archiver/refused'];
  const lines = files.flatMap((file) => textAt(host, file).split('\n'));
  return lines.filter((line) => line !== '' && !isLate(line));
}

export function textAt({ at }: DebianHost, path: string): string {
  return existsSync(at(path)) ? readFileSync(at(path), 'utf8') : '';
}
