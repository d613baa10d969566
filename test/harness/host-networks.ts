import { eventually } from './eventually.ts';
import { missingNamespaces } from './namespaces.ts';
import { mustRun, type Running, start } from './processes.ts';

export interface HostNetwork {
  /** What is started with these variables works in this network. */
  readonly env: NodeJS.ProcessEnv;
  /** Pulls its cable, or plugs it in again. */
  setLink(state: 'up' | 'down'): Promise<void>;
}

/** Networks of their own for the hosts of a world, and a bridge between them: a host has one address, and only there it answers. */
export interface HostNetworks {
  /** `root`: run by sh with all rights in a mount namespace of the host's own, which then has a host name of its own, too. */
  add(address: string, root?: string): Promise<HostNetwork>;
  close(): Promise<void>;
}

const path = 'PATH=$PATH:/usr/sbin:/sbin';
const stays = 'echo ready; exec sleep infinity';
const bridge = `${path}; ip link set lo up && ip link add bridge type bridge && ip link set bridge up`;

export function missingHostNetworks(): Promise<string | undefined> {
  return missingNamespaces(['net'], bridge);
}

/** The same, where each host also has a root of its own. */
export function missingHostRoots(): Promise<string | undefined> {
  return missingNamespaces(
    ['net', 'mount', 'uts'],
    `${bridge}; mount -t tmpfs tmpfs /run; hostname alpha; echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start`,
  );
}

function within(pid: number): string[] {
  return ['--preserve-credentials', '--user', '--net', '--target', String(pid), '--'];
}

export async function makeHostNetworks(world: string): Promise<HostNetworks> {
  const env = { PATH: process.env['PATH'], PITRTOOLS_TEST_WORLD: world };
  const holders: Running[] = [];
  const hold = async (program: string, args: readonly string[]): Promise<number> => {
    const holder = start(program, args, { env, limitMs: 86_400_000 });
    holders.push(holder);
    await eventually(() => holder.output().includes('ready'), { limitMs: 60_000, what: 'a network' });
    return holder.pid;
  };
  const hub = await hold('unshare', [
    ...['--user', '--map-root-user', '--net', '--'],
    ...['sh', '-c', `${bridge} && { ${stays}; }`],
  ]);
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  // One for all hosts: the kernel hides from each other what processes in different ones work on.
  const user = await hold('nsenter', [
    ...within(hub),
    ...['unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--', 'sh', '-c', stays],
  ]);
  const inNetworkOf = (pid: number, script: string): Promise<string> =>
    mustRun('nsenter', [...within(pid), 'sh', '-c', `${path}; ${script}`], { env });
  return {
    add: async (address, root) => {
      const port = `port${holders.length}`;
      const own = root === undefined ? [] : ['--mount', '--uts', '--propagation', 'private'];
      const host = await hold('nsenter', [
        ...[...within(hub), 'unshare', '--net', ...own],
        ...['sh', '-c', root === undefined ? stays : `set -e; ${root}\n${stays}`],
      ]);
      await inNetworkOf(
        hub,
        `ip link add ${port} type veth peer name wire netns ${host} && ip link set ${port} master bridge up`,
      );
      await inNetworkOf(
        host,
        `ip link set lo up && ip addr add ${address}/24 dev wire && ip link set wire up`,
      );
      return {
        env: { PITRTOOLS_TEST_NETWORK: `${host} ${user}${root === undefined ? '' : ' root'}` },
        setLink: async (state) => {
          await inNetworkOf(host, `ip link set wire ${state}`);
        },
      };
    },
    close: async () => {
      for (const holder of holders.reverse()) {
        holder.killFamily();
        await holder.finished;
      }
    },
  };
}
