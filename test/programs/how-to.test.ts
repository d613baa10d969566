import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { shows } from '../harness/scenarios.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { type BackupPair, backupPair } from './backup-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** Both hosts as the how-to sets them up, with ten rows in the base backup. */
async function madeByTheHowTo(world: World, ini: IniKeys = {}): Promise<BackupPair> {
  const pair = await backupPair(world, { ini, primarySettings: { timezone: 'Pacific/Auckland' } });
  const { primary, standby } = pair;
  await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())');
  await primary.sql('INSERT INTO rows SELECT FROM generate_series(1, 10)');
  const init = await world.cmdStandby(standby, ['-I']);
  expectExit(init, 0);
  expect(init.stdout).toContain('Standby is ready\n');
  const backup = await world.cmdStandby(standby, ['-B']);
  expectExit(backup, 0);
  expect(backup.stdout).toMatch(/Base backup finished successfully\n$/);
  return pair;
}

async function insertAndShip({ primary, standby }: BackupPair, rows: number): Promise<void> {
  await primary.sql('INSERT INTO rows SELECT FROM generate_series(1, $1::int)', [rows]);
  await standby.received(await primary.switchWal());
}

describe.each(testMajors())('the whole how-to on PostgreSQL %i', (major) => {
  test.override({ major });

  const asTheHowToHasIt = async (world: World, streaming: 'no' | 'on') => {
    const made = await madeByTheHowTo(world, { use_streaming_replication: streaming });
    const { primary, standby } = made;
    const start = await world.cmdStandby(standby, ['-S']);
    expectExit(start, 0);
    expect(start.stdout).toBe('server starting\nSuccessfully entered standby mode\n');
    await insertAndShip(made, 15);
    await eventually(async () => (await countRows(standby)) === 25);
    if (streaming === 'on') {
      await primary.sql('INSERT INTO rows DEFAULT VALUES');
      await eventually(async () => (await countRows(standby)) === 26);
    }
    const refused = await world.cmdStandby(standby, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('the primary is alive');

    await primary.kill9();
    await primary.host.sshd.kill();
    const failover = await world.cmdStandby(standby, ['-F999']);
    expectExit(failover, 0);
    expect(failover.stdout).toMatch(/HINT: Execute ANALYZE on your databases\nFailover finished\n$/);
    expect(await countRows(standby)).toBe(streaming === 'on' ? 26 : 25);
    for (const name of ['standby.signal', 'recovery.signal', 'recovery.conf'])
      expect(existsSync(join(standby.pgdata, name))).toBe(false);
    await standby.sql('INSERT INTO rows DEFAULT VALUES');
    await standby.restart();
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)')).toBe(
      '00000002',
    );
    expect(standby.failoverActions()).toBe(1);
  };

  test('works for a warm standby', shows('archive', 'base backup', 'warm standby', 'failover'), ({ world }) =>
    asTheHowToHasIt(world, 'no'),
  );

  test(
    'works for a streaming standby',
    shows('archive', 'base backup', 'streaming standby', 'failover'),
    ({ world }) => asTheHowToHasIt(world, 'on'),
  );

  const takesAMoment =
    "-R takes a moment as the primary's clock shows it, and knows when the base backup ended";
  test(takesAMoment, shows('recovery to a target'), async ({ world }) => {
    const made = await madeByTheHowTo(world);
    const { primary, standby } = made;
    await insertAndShip(made, 5);
    const moment = await primary.value('SELECT clock_timestamp()::timestamp::text');
    const begin = await primary.value(
      "SELECT (pg_postmaster_start_time() - interval '1 second')::timestamp::text",
    );
    await insertAndShip(made, 5);
    await primary.kill9();

    const tooEarly = await world.cmdStandby(standby, ['-F999', '-R', begin]);
    expectExit(tooEarly, 4);
    expect(tooEarly.stderr).toContain('lies before the end of the base backup');
    const run = await world.cmdStandby(standby, ['-F999', '-R', moment]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(
      new RegExp(`^Recovery to ${moment.slice(0, 19)}[.\\d]*\\+1[23] \\(.*\\+00 UTC\\)\n`),
    );
    expect(await countRows(standby)).toBe(15);
  });
});
