import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type EtcdMember, makeEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { makeMember, type PatroniMember, restPort, scope, serverPort } from '../harness/patroni.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import { processesOf } from '../harness/process-table.ts';
import { killAll } from '../harness/processes.ts';
import { askHttp, startRelay } from '../harness/relay.ts';
import type { World } from '../harness/world.ts';

const names = ['n1', 'n2', 'n3'] as const;

/** Far below Patroni's defaults, so that a leader that has gone is replaced within seconds. */
const times = { ttl: 15, loop_wait: 2, retry_timeout: 5 };
export const maximumLag = 1024 * 1024;

/** Keys over those that every member has, by section; made of the member's host. */
export type Additions = (host: Host) => {
  readonly postgresql?: object;
  readonly parameters?: Readonly<Record<string, string | number>>;
};

export interface Site {
  readonly world: World;
  readonly members: readonly PatroniMember[];
  readonly etcd: readonly EtcdMember[];
  /** Where the applications run: their network is neither a member's nor the off-site standby's. */
  readonly app: Host;
  /** Directory of the socket by which the application reaches a member's server. */
  readonly serverSocketOf: (member: PatroniMember) => string;
  /** Whether this member says that it is the leader, as a load balancer asks it. */
  readonly isLeader: (member: PatroniMember) => Promise<boolean>;
  /** A key of the site in etcd, below its scope; undefined if etcd does not answer, null if it is not there. */
  readonly key: (name: string) => Promise<string | null | undefined>;
  /** To be called before that of the world: Patroni would start each server again. */
  readonly close: () => Promise<void>;
}

export async function makeSite(world: World, additions: Additions, isSynchronous: boolean): Promise<Site> {
  const { major, user } = world;
  const hosts: Host[] = [];
  for (const name of names) hosts.push(await world.host(name));
  const app = await world.host('app');
  const etcd = makeEtcd(hosts);
  const members = hosts.map((host) =>
    makeMember({ host, major, user }, configuration(world, host, etcd, additions, isSynchronous)),
  );
  const sockets = join(app.directory, 'run');
  const directoryOf = (name: string) => join(sockets, name);
  for (const name of names) mkdirSync(directoryOf(name));
  const endRelay = await startRelay(
    app,
    hosts.flatMap(({ name, address }) => [
      { socket: join(directoryOf(name), `.s.PGSQL.${serverPort}`), address, port: serverPort },
      { socket: join(directoryOf(name), 'rest'), address, port: restPort },
      { socket: join(directoryOf(name), 'etcd'), address, port: 2379 },
    ]),
  );
  return {
    ...{ world, members, etcd, app },
    close: async () => {
      for (const member of members) await member.kill();
      // A server that was just being started has no postmaster.pid yet.
      for (const { server } of members) killAll(processesOf(server.pgdata));
      for (const each of etcd) await each.kill();
      await endRelay();
    },
    serverSocketOf: ({ name }) => directoryOf(name),
    isLeader: async ({ name }) => {
      const answer = await askHttp(join(directoryOf(name), 'rest'), '/primary');
      return answer?.status === 200;
    },
    key: async (name) => {
      for (const each of names) {
        const value = await readKey(join(directoryOf(each), 'etcd'), `/service/${scope}/${name}`);
        if (value !== undefined) return value;
      }
      return undefined;
    },
  };
}

async function readKey(socket: string, key: string): Promise<string | null | undefined> {
  const body = JSON.stringify({ key: Buffer.from(key).toString('base64') });
  const answer = await askHttp(socket, '/v3/kv/range', { body, limitMs: 2_000 });
  if (answer?.status !== 200) return undefined;
  const { kvs } = JSON.parse(answer.text) as { kvs?: { value: string }[] };
  const [found] = kvs ?? [];
  return found === undefined ? null : Buffer.from(found.value, 'base64').toString();
}

function configuration(
  world: World,
  host: Host,
  etcd: readonly EtcdMember[],
  additions: Additions,
  isSynchronous: boolean,
): object {
  const { directory, name, address } = host;
  const { postgresql = {}, parameters = {} } = additions(host);
  const hba = ['local all all trust', 'local replication all trust'];
  for (const network of ['127.0.0.0/8', '10.99.0.0/24'])
    hba.push(`host all all ${network} trust`, `host replication all ${network} trust`);
  return {
    ...{ scope, name },
    restapi: { listen: `${address}:${restPort}`, connect_address: `${address}:${restPort}` },
    etcd3: { hosts: etcd.map(({ endpoint }) => endpoint) },
    bootstrap: {
      dcs: {
        ...times,
        maximum_lag_on_failover: maximumLag,
        synchronous_mode: isSynchronous,
        // A leader whose server was killed gives the lock away, unless it is back at once.
        primary_start_timeout: 10,
        postgresql: {
          ...{ use_pg_rewind: true, use_slots: true },
          parameters: {
            ...{ wal_level: 'replica', hot_standby: 'on', max_connections: 60, max_wal_senders: 10 },
            ...{ max_replication_slots: 10, wal_keep_size: '64MB', wal_log_hints: 'on' },
          },
        },
      },
      initdb: ['data-checksums', { encoding: 'UTF8' }, { locale: 'C' }, { 'wal-segsize': '1' }],
      pg_hba: hba,
    },
    postgresql: {
      ...{ listen: `127.0.0.1,${address}:${serverPort}`, connect_address: `${address}:${serverPort}` },
      ...{ use_unix_socket: true, data_dir: join(directory, 'pgdata'), pgpass: join(directory, 'pgpass') },
      // The packaged servers lack pg_controldata and pg_rewind.
      bin_dir: dirname(clientProgram('pg_controldata')),
      authentication: {
        superuser: { username: world.user },
        replication: { username: 'replicator', password: 'changeme' },
      },
      ...postgresql,
      parameters: {
        ...{ unix_socket_directories: join(directory, 'run'), fsync: 'off', shared_buffers: '16MB' },
        ...{ autovacuum: 'off', log_line_prefix: '%m [%p] ', log_min_messages: 'info' },
        ...{ logging_collector: 'off', archive_timeout: 0 },
        ...parameters,
      },
    },
  };
}

/** Starts etcd and the first member, and waits until that leads. */
export async function bootSite({ etcd, members, key, isLeader }: Site): Promise<void> {
  for (const each of etcd) each.start();
  await eventually(async () => (await key('none')) === null, { limitMs: 120_000, what: 'an answer of etcd' });
  const [first] = members;
  if (first === undefined) throw new Error('a site without members');
  first.start();
  await eventually(() => isLeader(first), { limitMs: 120_000, everyMs: 200, what: 'a leader' }).catch(
    (error: unknown) => {
      throw new Error(first.log(), { cause: error });
    },
  );
}

/** The member that holds the leader's lock and says that it leads. */
export async function leaderOf({ members, key, isLeader }: Site): Promise<PatroniMember | undefined> {
  const name = await key('leader');
  const member = members.find((each) => each.name === name);
  return member !== undefined && (await isLeader(member)) ? member : undefined;
}
