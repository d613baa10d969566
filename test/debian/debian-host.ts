import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Finished, mustRun, run, start } from '../harness/processes.ts';

/** A host with a Debian of its own: its root, its processes, its network and its name. */
export interface DebianHost {
  /** Types a line into the shell of root, or of postgres. */
  readonly asRoot: (line: string) => Promise<Finished>;
  readonly asPostgres: (line: string) => Promise<Finished>;
  readonly sql: (statement: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

export interface DebianPair {
  readonly alpha: DebianHost;
  readonly beta: DebianHost;
  readonly close: () => Promise<void>;
}

export interface Places {
  /** 12, 13. */
  readonly release: number;
  /** The directory of the Debian that both hosts begin with. */
  readonly base: string;
  /** A directory of this run, with our packages in it. */
  readonly place: string;
}

/** Set by scripts/lib/debian-pair, which is root and has made both. */
export function givenPlaces(): Places | undefined {
  const release = Number(process.env['PITRTOOLS_TEST_DEBIAN']);
  const base = process.env['PITRTOOLS_TEST_DEBIAN_ROOT'];
  const place = process.env['PITRTOOLS_TEST_DEBIAN_PLACE'];
  return base === undefined || place === undefined ? undefined : { release, base, place };
}

/** The major release of the server that this Debian has. */
export function majorIn({ base }: Places): number {
  const [major] = readdirSync(join(base, 'usr/lib/postgresql'));
  return Number(major);
}

const addresses = { alpha: '10.99.0.1', beta: '10.99.0.2' } as const;
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const ownNamespaces = ['--mount', '--uts', '--ipc', '--net', '--pid'];

/** The first process in the namespaces of what `unshare --fork` has started. */
function firstOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0];
}

async function bootHost(name: keyof typeof addresses, { base, place }: Places): Promise<DebianHost> {
  const own = join(place, 'hosts', name);
  mkdirSync(own);
  const boot = [checkout('test/debian/boot'), base, own, name, join(place, 'packages')];
  const args = [...ownNamespaces, '--fork', '--kill-child', '--propagation', 'private', '--', ...boot];
  const holder = start('unshare', args, { limitMs: 86_400_000 });
  const close = async () => {
    holder.killFamily();
    await holder.finished;
  };
  try {
    await eventually(() => holder.output().includes('ready\n'), {
      limitMs: 240_000,
      what: `${name} to boot`,
    });
  } catch (error) {
    await close();
    throw new Error(`${name} did not boot: ${holder.output()}`, { cause: error });
  }
  const target = firstOf(holder.pid) ?? '';
  const within = (command: readonly string[]): [string, string[]] => [
    'nsenter',
    [...['--target', target, ...ownNamespaces, '--root', '--wd', '--'], ...command],
  ];
  await connect(name, target);
  const clean = ['env', '-i', `PATH=${path}`, 'HOME=/root', 'LANG=C.UTF-8'];
  const asUser = ['runuser', '-u', 'postgres', '--'];
  return {
    asRoot: (line) => run(...within([...clean, 'sh', '-c', `cd; ${line}`])),
    asPostgres: (line) => run(...within([...clean, 'runuser', '-l', 'postgres', '-c', line])),
    sql: async (statement) =>
      (await mustRun(...within([...clean, ...asUser, 'psql', '-XAtqc', statement, 'postgres']))).trim(),
    close,
  };
}

/** A cable from the host to the bridge, which no other network is connected to. */
async function connect(name: keyof typeof addresses, target: string): Promise<void> {
  await mustRun('ip', [...['link', 'add', name, 'type', 'veth', 'peer', 'name', 'wire', 'netns', target]]);
  await mustRun('ip', ['link', 'set', name, 'master', 'bridge', 'up']);
  const inside = `ip link set lo up && ip addr add ${addresses[name]}/24 dev wire && ip link set wire up`;
  await mustRun('nsenter', ['--target', target, '--net', '--', 'sh', '-c', inside]);
}

/** Two hosts after the installation of PostgreSQL: nothing of ours is there but the packages, in root's home. */
export async function bootPair(places: Places): Promise<DebianPair> {
  await mustRun('sh', ['-c', 'ip link set lo up && ip link add bridge type bridge && ip link set bridge up']);
  const booted = await Promise.allSettled([bootHost('alpha', places), bootHost('beta', places)]);
  const [alpha, beta] = booted.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
  const close = async () => {
    await Promise.all([alpha?.close(), beta?.close()]);
  };
  if (alpha !== undefined && beta !== undefined) return { alpha, beta, close };
  await close();
  throw new AggregateError(
    booted.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : [])),
    'the hosts did not boot',
  );
}
