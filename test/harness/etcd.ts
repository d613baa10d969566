import { join } from 'node:path';
import type { Host } from './host.ts';
import { type Running, start } from './processes.ts';

const program = '/usr/bin/etcd';
const clientPort = 2379;
const peerPort = 2380;

/** A member of a cluster of etcd, on a host with a network of its own. */
export interface EtcdMember {
  /** HOST:PORT. */
  readonly endpoint: string;
  start(): void;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export function makeEtcd(hosts: readonly Host[]): readonly EtcdMember[] {
  const peers = hosts.map(({ name, address }) => `${name}=http://${address}:${peerPort}`).join(',');
  return hosts.map((host) => memberOn(host, peers));
}

function memberOn({ name, address, directory, env }: Host, peers: string): EtcdMember {
  const [client, peer] = [clientPort, peerPort].map((port) => `http://${address}:${port}`);
  const args = [
    ...['--name', name, '--data-dir', join(directory, 'etcd'), '--log-level', 'warn'],
    ...['--listen-client-urls', `${client},http://127.0.0.1:${clientPort}`],
    ...['--advertise-client-urls', `${client}`],
    ...['--listen-peer-urls', `${peer}`, '--initial-advertise-peer-urls', `${peer}`],
    ...['--initial-cluster', peers, '--initial-cluster-state', 'new', '--initial-cluster-token', 'test'],
    // A busy machine must not look like a dead leader.
    ...['--heartbeat-interval', '300', '--election-timeout', '3000', '--pre-vote'],
  ];
  let running: Running | undefined;
  return {
    endpoint: `${address}:${clientPort}`,
    start: () => {
      running ??= start(program, args, { env, limitMs: 86_400_000 });
    },
    kill: async () => {
      running?.killFamily();
      await running?.finished;
      running = undefined;
    },
  };
}
