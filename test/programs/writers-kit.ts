import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Primary } from '../harness/primary.ts';

type Writable = Pick<Primary, 'withSession' | 'value' | 'sql'>;

interface Write {
  readonly id: number;
  readonly by: Writable;
  /** Before the statement was sent, and after it was acknowledged. */
  readonly fromMs: number;
  readonly toMs: number;
}

const everyMs = 20;

/** Clients that try to write on both servers all the time, and note what was acknowledged. */
export interface Writers {
  /** What was acknowledged since the last call. */
  take(): readonly Write[];
  stop(): Promise<void>;
}

export async function makeWritesTable(primary: Writable): Promise<void> {
  await primary.sql('CREATE TABLE writes (id int PRIMARY KEY)');
}

export function startWriters(servers: readonly Writable[]): Writers {
  let isOver = false;
  let last = 0;
  let acknowledged: Write[] = [];
  const writeOn = async (server: Writable): Promise<void> => {
    while (!isOver) {
      const session = server.withSession(async (client) => {
        while (!isOver) {
          const id = (last += 1);
          const fromMs = performance.now();
          const isWritten = await client
            .query('INSERT INTO writes VALUES ($1)', [id])
            .then(() => true)
            .catch((error: unknown) => {
              // A standby keeps the session, and may be promoted.
              if (error instanceof Error && 'code' in error && error.code === '25006') return false;
              throw error;
            });
          if (isWritten) acknowledged.push({ id, by: server, fromMs, toMs: performance.now() });
          await delay(everyMs);
        }
      });
      await session.catch(() => delay(everyMs));
    }
  };
  const clients = Promise.all(servers.map(writeOn));
  return {
    take: () => {
      const taken = acknowledged;
      acknowledged = [];
      return taken;
    },
    stop: async () => {
      isOver = true;
      await clients;
    },
  };
}

/**
 * The role changes at most once while these were acknowledged: a write on the former primary that was sent after one on the next
 * was acknowledged shows two primaries at the same time.
 */
export function writesBeside(writes: readonly Write[], former: Writable, next: Writable): readonly Write[] {
  const first = Math.min(...writes.filter(({ by }) => by === next).map(({ toMs }) => toMs));
  return writes.filter(({ by, fromMs }) => by === former && fromMs > first);
}

export async function lostWrites(writes: readonly Write[], primary: Writable): Promise<readonly number[]> {
  const rows = await primary.sql('SELECT id FROM writes');
  const present = new Set(rows.map(({ id }) => id));
  return writes.map(({ id }) => id).filter((id) => !present.has(id));
}

/** A segment under its name is complete: whoever finds it may replay it. */
export function expectWholeSegments(directory: string, about: string, size = 16 * 1024 * 1024): void {
  const names = readdirSync(directory).filter((name) => /^[0-9A-F]{24}$/.test(name));
  const torn = names.filter((name) => {
    const bytes = statSync(join(directory, name), { throwIfNoEntry: false })?.size;
    return bytes !== undefined && bytes !== size;
  });
  expect(torn, `${about}: segments in ${directory} that are not whole`).toEqual([]);
}
