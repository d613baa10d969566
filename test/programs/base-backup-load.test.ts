import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { mustRun, type Running, start } from '../harness/processes.ts';
import type { Server } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';

const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const rounds = isLong ? 10 : 2;

/** Debian's own server: it alone has the amcheck extension. */
const debian = '/usr/lib/postgresql';
const major = Math.max(0, ...(existsSync(debian) ? readdirSync(debian).map(Number) : []));

test.override({ major });

// In this file that major is Debian's, whatever the other tests run on.
Reflect.deleteProperty(process.env, `PITRTOOLS_PG_${major}`);

function place({ socketDirectory, port, user }: Server): string[] {
  return ['-h', socketDirectory, '-p', String(port), '-U', user];
}

/** Relations that grow, shrink, come and go, beside what pgbench itself does. */
const churn = `
\\set n random(1, 1000000)
INSERT INTO churn SELECT :n + i, repeat(md5(i::text), 10) FROM generate_series(1, 50) AS i;
DELETE FROM churn WHERE n IN (SELECT n FROM churn ORDER BY n LIMIT 40);
CREATE TABLE IF NOT EXISTS comes_:client_id AS SELECT i FROM generate_series(1, 2000) AS i;
DROP TABLE comes_:client_id;
`;

async function prepareLoad(primary: Primary): Promise<void> {
  await mustRun(clientProgram('pgbench'), ['-q', '-i', '-s', '5', ...place(primary), 'postgres'], {
    env: primary.env,
  });
  await primary.sql('CREATE TABLE churn (n int, x text)');
  await primary.sql('CREATE INDEX ON churn (n)');
  await primary.sql('CREATE EXTENSION amcheck');
  await primary.sql('CREATE DATABASE another');
}

function startLoad(here: World, primary: Primary): Running {
  const script = join(here.directory, 'churn.sql');
  writeFileSync(script, churn);
  const args = ['-n', '-c', '6', '-j', '2', '-T', '3600', '-b', 'tpcb-like@4', '-f', `${script}@1`];
  return start(clientProgram('pgbench'), [...args, ...place(primary), 'postgres'], {
    env: primary.env,
    limitMs: 3_600_000,
  });
}

/** Whose transaction ends in a segment that has not come keeps its locks on the standby, and pg_amcheck waits for them. */
async function replayAll(primary: Primary, standby: Server): Promise<void> {
  const end = await primary.value('SELECT pg_current_wal_insert_lsn()');
  await primary.archived(await primary.switchWal());
  const reached = `SELECT (pg_last_wal_replay_lsn() >= '${end}')::text`;
  await eventually(async () => (await standby.value(reached)) === 'true', {
    limitMs: 120_000,
    what: 'the replay of what the load has written',
  });
}

async function transactions(primary: Primary): Promise<number> {
  return Number(await primary.value("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'"));
}

describe.skipIf(major < 14)(`base backups of PostgreSQL ${major} under a heavy write load`, () => {
  test(
    `${rounds} verified base backups report no damage, become consistent, and pass pg_amcheck`,
    { timeout: isLong ? 3_000_000 : 400_000 },
    async ({ world }) => {
      const { primary, standby } = await backupPair(world, {
        cluster: { checksums: true },
        // Little memory: pages are written all the time, and so while they are copied.
        primarySettings: { shared_buffers: '2MB', max_wal_size: '64MB', bgwriter_delay: '10ms' },
        standbySettings: { max_standby_archive_delay: -1 },
        ini: { rsync_threads: 2, wal_timeout: 300, start_timeout: 300, debug: 'off' },
      });
      await world.cmdStandby(standby, ['-I']);
      await prepareLoad(primary);
      for (let round = 1; round <= rounds; round += 1) {
        // Every other one goes over the copy of the one before.
        if (round % 2 === 1) rmSync(standby.pgdata, { recursive: true, force: true });
        const load = startLoad(world, primary);
        const before = await transactions(primary);
        await eventually(async () => (await transactions(primary)) > before + 100, { what: 'the load' });
        const backup = await world.cmdStandby(standby, ['-B', '--verify', '--json'], { limitMs: 600_000 });
        expect(backup, backup.stderr).toMatchObject({ code: 0 });
        const { verified } = JSON.parse(backup.stdout) as {
          verified: { pages: number; findings: unknown[] };
        };
        expect(verified.findings).toEqual([]);
        expect(verified.pages).toBeGreaterThan(9_000);
        // The load continued all the time.
        expect(load.output()).not.toMatch(/ERROR|FATAL|aborted/);
        load.signal('SIGINT');
        await load.finished;
        expect(await world.cmdStandby(standby, ['-S'], { limitMs: 600_000 })).toMatchObject({ code: 0 });
        await eventually(() => standby.inRecovery().catch(() => false), {
          limitMs: 120_000,
          what: 'consistency',
        });
        await replayAll(primary, standby);
        const check = ['--database=postgres', '--heapallindexed'];
        expect(
          await mustRun(clientProgram('pg_amcheck'), [...check, ...place(standby)], {
            env: standby.env,
            limitMs: 300_000,
          }),
        ).toBe('');
        expect(await world.cmdStandby(standby, ['-Astop'])).toMatchObject({ code: 0 });
      }
    },
  );
});
