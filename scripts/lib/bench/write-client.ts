import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Server } from '../../../test/harness/server.ts';

/** A write that was acknowledged, and by which of the servers. */
interface Write {
  readonly server: number;
  readonly atMs: number;
}

export interface WriteClient {
  /** The acknowledged writes so far, oldest first. */
  readonly writes: readonly Write[];
  stop(): Promise<void>;
}

const everyMs = 10;
/** An attempt that gets no answer is given up. */
const attemptMs = 2_000;

interface Session {
  readonly server: number;
  readonly client: pg.Client;
}

async function open(server: number, { socketDirectory, port, user }: Server): Promise<Session | undefined> {
  const client = new pg.Client({
    host: socketDirectory,
    port,
    user,
    database: 'postgres',
    connectionTimeoutMillis: attemptMs,
    query_timeout: attemptMs,
  });
  // The server ends sessions: what counts is the next statement.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers');
    if (rows[0]?.recovers === false) return { server, client };
  } catch {
    // It does not take connections now.
  }
  await client.end().catch(() => undefined);
  return undefined;
}

/** As libpq does with several hosts and target_session_attrs=read-write. */
async function openAny(servers: readonly Server[]): Promise<Session | undefined> {
  for (const [number, server] of servers.entries()) {
    const session = await open(number, server);
    if (session !== undefined) return session;
  }
  return undefined;
}

/**
 * Writes a row every 10 ms. After an error it connects anew, to whichever of the servers takes writes, and tries that every
 * 10 ms.
 */
export function startWriting(servers: readonly Server[], statement: string): WriteClient {
  const writes: Write[] = [];
  let isStopped = false;
  let session: Session | undefined;
  const attempt = async (): Promise<void> => {
    session ??= await openAny(servers);
    if (session === undefined) return;
    const { server, client } = session;
    try {
      await client.query(statement);
      writes.push({ server, atMs: Date.now() });
    } catch {
      session = undefined;
      await client.end().catch(() => undefined);
    }
  };
  const work = async (): Promise<void> => {
    while (!isStopped) {
      const next = performance.now() + everyMs;
      await attempt();
      await delay(Math.max(0, next - performance.now()));
    }
    await session?.client.end().catch(() => undefined);
  };
  const done = work();
  return {
    writes,
    stop: async () => {
      isStopped = true;
      await done;
    },
  };
}
