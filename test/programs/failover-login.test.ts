import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, expectExit, makePair, type Pair, type PairOptions } from './standby-kit.ts';

const overTcp = 'host all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\n';

/** Both pg_hba.conf of the standby: the socket by these lines, TCP (for the test itself) always. */
function writeHba({ host }: Standby, local: string): void {
  for (const folder of ['pg_conf', 'pg_conf_failover'])
    writeFileSync(join(host.directory, 'etc', folder, 'pg_hba.conf'), `${local}\n${overTcp}`);
}

/** By TCP, to a database of the test's choice. */
async function ask(server: Primary | Standby, database: string, sql: string): Promise<string> {
  const { port, user } = server;
  const client = new pg.Client({ host: '127.0.0.1', port, user, database });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return String(Object.values(rows[0] ?? {})[0]);
  } finally {
    await client.end();
  }
}

async function startedPair(
  here: World,
  local: string,
  options: PairOptions = {},
  prepare: (primary: Primary) => Promise<unknown> = () => Promise.resolve(),
): Promise<Pair> {
  const pair = await makePair(here, options);
  writeHba(pair.standby, local);
  await prepare(pair.primary);
  await archiveRows(pair, 10);
  expectExit(await here.cmdStandby(pair.standby, ['-S']), 0);
  return pair;
}

async function killPrimary({ primary }: Pair): Promise<void> {
  await primary.kill9();
  await primary.host.sshd.kill();
}

describe.each(failureMajors())('the login at the promoted server, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('takes its password from the line for localhost in .pgpass, as libpq does for the socket', async ({
    world,
  }) => {
    const pair = await startedPair(world, 'local all all scram-sha-256', {}, async (primary) => {
      // Up to 13 the default is md5.
      await primary.sql(
        `SET password_encryption TO 'scram-sha-256'; ALTER ROLE "${primary.user}" PASSWORD 'with:colon'`,
      );
    });
    const { standby } = pair;
    await eventually(async () => (await ask(standby, 'postgres', 'SELECT count(*) FROM rows')) === '10', {
      what: 'the password, and what came after it, replayed',
    });
    writeFileSync(
      join(standby.host.directory, 'home', '.pgpass'),
      `localhost:${standby.port}:postgres:${standby.user}:with\\:colon\n`,
      { mode: 0o600 },
    );
    await killPrimary(pair);
    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stdout).toContain('Failover finished');
    expect(standby.failoverActions()).toBe(1);
  });

  test('uses template1 if the cluster has no database postgres', async ({ world }) => {
    const pair = await startedPair(world, 'local all all trust');
    const { primary, standby } = pair;
    await ask(primary, 'template1', 'DROP DATABASE postgres');
    await standby.received(await ask(primary, 'template1', 'SELECT pg_walfile_name(pg_switch_wal())'));
    const left = "SELECT count(*) FROM pg_database WHERE datname = 'postgres'";
    await eventually(async () => (await ask(standby, 'template1', left)) === '0', { what: 'the drop' });
    await killPrimary(pair);
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await ask(standby, 'template1', 'SELECT pg_is_in_recovery()')).toBe('false');
    expect(standby.failoverActions()).toBe(1);
  });

  test('keeps a running standby from being promoted if it is refused, before any change', async ({
    world,
  }) => {
    const pair = await startedPair(world, 'local all all scram-sha-256');
    const { standby } = pair;
    const autoConf = join(standby.pgdata, 'postgresql.auto.conf');
    const before = readFileSync(autoConf, 'utf8');
    await killPrimary(pair);

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 4);
    expect(run.stderr).toContain('asks for a password');
    expect(run.stderr).toContain('.pgpass');
    expect(await ask(standby, 'postgres', 'SELECT pg_is_in_recovery()')).toBe('true');
    expect(readFileSync(autoConf, 'utf8')).toBe(before);
    expect(existsSync(join(standby.pgdata, 'pitrtools-promoting'))).toBe(false);
    expect(standby.failoverActions()).toBe(0);
  });

  test('is checked against pg_hba.conf before a warm standby is promoted, because that answers no query', async ({
    world,
  }) => {
    const pair = await startedPair(world, 'local all all reject', { settings: { hot_standby: false } });
    await killPrimary(pair);
    const run = await world.cmdStandby(pair.standby, ['-F999']);
    expectExit(run, 4);
    expect(run.stderr).toContain('(reject) refuses user');
    writeHba(pair.standby, 'local all all trust');
    writeFileSync(join(pair.standby.pgdata, 'pg_hba.conf'), `local all all trust\n${overTcp}`);
    await pair.standby.reload();
    const again = await world.cmdStandby(pair.standby, ['-F999']);
    expectExit(again, 0);
    expect(again.stderr).toContain('whether we can log in after the promotion is not known');
  });
});
