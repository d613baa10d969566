import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { failureMajors, testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { mustRun } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { makePair, type PairOptions } from './standby-kit.ts';

/** The releases between which recovery to a target changed; one of them where a run is to be short. */
export function targetMajors(): number[] {
  const all = testMajors();
  return all.includes(10) && all.includes(18) ? [10, 12, 15, 18] : failureMajors();
}

/** What the WAL of a primary holds, by number of the row that was committed last before it. */
export interface Marks {
  /** Commit of row 2, to the microsecond. */
  readonly time: string;
  /** Transaction of row 4. */
  readonly xid: string;
  /** Where the commit record of row 6 begins. */
  readonly lsn: string;
  /** Restore point between rows 8 and 9. */
  readonly name: string;
}

/** A cold standby, its archive, and the marks in it; the primary is dead. */
export interface Scene {
  readonly world: World;
  readonly primary: Primary;
  readonly standby: Standby;
  readonly marks: Marks;
  /** Puts the standby back to what -B had left, whatever was done with it since. */
  again(): Promise<void>;
}

const insert = (id: number) => `INSERT INTO rows VALUES (${id})`;

/** A record that something else wrote between the two would make the LSN that of another record: then there is one more try. */
async function commitStart(primary: Primary): Promise<string> {
  for (;;) {
    const place = await primary.withSession(async (client) => {
      const insertLsn = 'SELECT pg_current_wal_insert_lsn()::text AS lsn';
      await client.query('BEGIN');
      await client.query(insert(6));
      const start = (await client.query<{ lsn: string }>(insertLsn)).rows[0]?.lsn ?? '';
      await client.query('COMMIT');
      const bytes = await client.query<{ bytes: string }>(
        'SELECT pg_current_wal_insert_lsn() - $1::pg_lsn AS bytes',
        [start],
      );
      if (Number(bytes.rows[0]?.bytes) < 80) return start;
      await client.query('DELETE FROM rows WHERE id = 6');
      return undefined;
    });
    if (place !== undefined) return place;
  }
}

async function writeMarks(primary: Primary): Promise<Marks> {
  await primary.sql(insert(1));
  await primary.sql(insert(2));
  const time = await primary.value(
    "SELECT to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' FROM rows WHERE id = 2",
  );
  await primary.sql(insert(3));
  await primary.sql(insert(4));
  const xid = await primary.value('SELECT xmin FROM rows WHERE id = 4');
  await primary.sql(insert(5));
  const lsn = await commitStart(primary);
  await primary.sql(insert(7));
  await primary.sql(insert(8));
  const name = "it's row 8";
  await primary.sql(`SELECT pg_create_restore_point('it''s row 8')`);
  await primary.sql(insert(9));
  return { time, xid, lsn, name };
}

export async function makeScene(world: World, options: PairOptions = {}): Promise<Scene> {
  const pair = await makePair(world, {
    ...options,
    ini: { failover_probe_timeout: 2, start_timeout: 20, ...options.ini },
    primarySettings: { track_commit_timestamp: true, ...options.primarySettings },
  });
  const { primary, standby } = pair;
  const marks = await writeMarks(primary);
  await standby.received(await primary.switchWal());
  await primary.sql(insert(10));
  await standby.received(await primary.switchWal());
  await primary.stop('immediate');
  const saved = join(world.directory, 'saved');
  mkdirSync(saved);
  const copy = (from: string, to: string) => mustRun('cp', ['-a', '--reflink=auto', from, to]);
  await copy(standby.pgdata, join(saved, 'pgdata'));
  await copy(standby.archiveDir, join(saved, 'archive'));
  return {
    world,
    primary,
    standby,
    marks,
    again: async () => {
      if (standby.isRunning()) await standby.stop('immediate');
      rmSync(standby.pgdata, { recursive: true });
      await copy(join(saved, 'pgdata'), standby.pgdata);
      rmSync(standby.archiveDir, { recursive: true });
      cpSync(join(saved, 'archive'), standby.archiveDir, { recursive: true, preserveTimestamps: true });
    },
  };
}

/** The last row that is there; 0 for none. */
export async function lastRow(server: Pick<Standby, 'value'>): Promise<number> {
  return Number(await server.value('SELECT coalesce(max(id), 0) FROM rows'));
}
