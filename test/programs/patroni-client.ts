import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type PatroniMember, serverPort } from '../harness/patroni.ts';
import { maximumLag, type Site } from './patroni-site.ts';
import { lsnOf } from './roles-kit.ts';

/** A number whose insertion was acknowledged. */
export interface Row {
  readonly id: number;
  readonly on: string;
  /** Before its commit record. */
  readonly lsn: bigint;
}

export interface Application {
  /** In the order of their acknowledgements. */
  readonly rows: readonly Row[];
  stop(): Promise<void>;
}

const tableDefinition = 'CREATE TABLE IF NOT EXISTS numbers (id bigint PRIMARY KEY, filler text)';
const filler = "(SELECT string_agg(md5(i::text || $1::text), '') FROM generate_series(1, 3000) i)";

/** A session through the network; nothing that was sent is waited for when it is dropped. */
async function openSession(site: Site, member: PatroniMember) {
  const client = new pg.Client({
    ...{ host: site.serverSocketOf(member), port: serverPort, user: site.world.user, database: 'postgres' },
    ...{ query_timeout: 10_000, connectionTimeoutMillis: 5_000 },
  });
  const drop = () => {
    client.connection.stream.destroy();
  };
  const notices: string[] = [];
  client.on('error', drop);
  client.on('notice', ({ message }) => notices.push(message ?? ''));
  try {
    await client.connect();
  } catch (error) {
    drop();
    throw error;
  }
  return { client, notices, drop };
}

type Session = Awaited<ReturnType<typeof openSession>>;

/** Asks the members all the time which of them leads, as a load balancer does. */
function startBalancer(site: Site) {
  const state: { isOver: boolean; leader: PatroniMember | undefined } = { isOver: false, leader: undefined };
  const look = async () => {
    let misses = 0;
    while (!state.isOver) {
      const found = await Promise.all(
        site.members.map(async (member) => ((await site.isLeader(member)) ? member : undefined)),
      );
      const { leader } = state;
      if (leader === undefined || found.includes(leader)) misses = 0;
      else misses += 1;
      if (leader === undefined || misses >= 2) state.leader = found.find((each) => each !== undefined);
      await delay(300);
    }
  };
  const looks = look();
  return {
    leader: () => state.leader,
    stop: async () => {
      state.isOver = true;
      await looks;
    },
  };
}

async function insert({ client, notices }: Session, id: number, on: string): Promise<Row | undefined> {
  const value = id % 25 === 0 ? filler : 'NULL';
  const answer = await client.query<{ lsn: string }>(
    `INSERT INTO numbers SELECT $1::bigint, ${value} RETURNING pg_current_wal_insert_lsn()::text AS lsn`,
    [id],
  );
  // A commit that did not wait for the synchronous standby says it.
  if (notices.some((text) => text.includes('might not have been replicated'))) return undefined;
  return { id, on, lsn: lsnOf(answer.rows[0]?.lsn ?? '0/0') };
}

/** Writes numbers, each of them once, to whichever member leads. */
export function startApplication(site: Site, pauseMs: number): Application {
  const rows: Row[] = [];
  const balancer = startBalancer(site);
  const state = { isOver: false, id: 0 };
  const serves = (member: PatroniMember) => !state.isOver && balancer.leader() === member;
  const work = (async () => {
    while (!state.isOver) {
      const member = balancer.leader();
      const session = member && (await openSession(site, member).catch(() => undefined));
      if (member === undefined || session === undefined) {
        await delay(100);
        continue;
      }
      try {
        await session.client.query(tableDefinition);
        while (serves(member)) {
          const row = await insert(session, (state.id += 1), member.name);
          if (row === undefined) break;
          rows.push(row);
          await delay(pauseMs);
        }
      } catch {
        // Whether this number was committed is unknown.
        await delay(50);
      } finally {
        session.drop();
      }
    }
  })();
  return {
    rows,
    stop: async () => {
      state.isOver = true;
      await work;
      await balancer.stop();
    },
  };
}

/** Up to this location, a member that lacks WAL must not become the leader. */
export interface Promises {
  /** The lowest of the leaders that have gone since the last call; undefined if none has. */
  take(): Promise<bigint | undefined>;
  stop(): Promise<void>;
}

/** Reads in etcd what the leaders publish. What was seen last may be older than what the members saw, never newer. */
export function watchPromises(site: Site): Promises {
  const state: { isOver: boolean; leader: string | undefined; published: bigint } = {
    ...{ isOver: false, leader: undefined, published: 0n },
  };
  let lowest: bigint | undefined;
  const look = async () => {
    const status = await site.key('status');
    const leader = await site.key('leader');
    if (typeof leader !== 'string') return;
    if (state.leader !== undefined && leader !== state.leader) {
      const promised = state.published - BigInt(maximumLag);
      if (lowest === undefined || promised < lowest) lowest = promised;
    }
    state.leader = leader;
    if (typeof status !== 'string') return;
    state.published = BigInt((JSON.parse(status) as { optime: number }).optime);
  };
  const looks = (async () => {
    while (!state.isOver) {
      await look();
      await delay(250);
    }
  })();
  return {
    take: async () => {
      await look();
      const taken = lowest;
      lowest = undefined;
      return taken;
    },
    stop: async () => {
      state.isOver = true;
      await looks;
    },
  };
}
