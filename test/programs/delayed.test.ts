import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { outerMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

const delayed = { recovery_min_apply_delay: '1h', failover_probe_timeout: 2 };

function now(primary: Primary): Promise<string> {
  return primary.value(
    "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'",
  );
}

describe.each(outerMajors())('a delayed standby of PostgreSQL %i', (major) => {
  test.override({ major });

  test('pauses just before a DROP, is a delayed standby again, and opens there', async ({ world }) => {
    const pair = await makePair(world, { ini: delayed });
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 100);
    const moment = await now(primary);

    // The segment of that moment is still being written.
    const early = await world.cmdStandby(standby, ['--pause-before', moment]);
    expectExit(early, 4);
    expect(early.stderr).toContain('the WAL here does not reach');
    expect(await countRows(standby)).toBe(0);
    expect(await standby.value('SELECT pg_is_wal_replay_paused()')).toBe('false');

    // Replay stops before the first commit after the moment. If that were the DROP's, it would hold its lock there.
    await primary.sql('INSERT INTO rows VALUES (101)');
    await primary.sql('DROP TABLE rows');
    await standby.received(await primary.switchWal());
    expect(await countRows(standby)).toBe(0);
    const plan = await world.cmdStandby(standby, ['--pause-before', moment, '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(
      /1\. pause the replay\n2\. check that it has not replayed past the target\n3\. stop/,
    );

    const run = await world.cmdStandby(standby, ['--pause-before', moment]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^The last transaction in it was committed at /m);
    expect(run.stdout).toMatch(/^Paused just before /m);
    expect(run.stdout).toMatch(/^HINT: To look at the data: psql -h \S+ -p \d+ /m);
    expect(run.stdout).toContain('-F999 --force=primary-alive');
    expect(await countRows(standby)).toBe(100);
    await expect(standby.sql('INSERT INTO rows VALUES (0)')).rejects.toThrow('read-only');

    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    const settings = major >= 12 ? 'postgresql.auto.conf' : 'recovery.conf';
    const inForce = () => readFileSync(join(standby.pgdata, settings), 'utf8');
    expect(inForce()).toContain("recovery_min_apply_delay = '1h'");
    expect(await countRows(standby)).toBe(100);
    expectExit(await world.cmdStandby(standby, ['--pause-before', moment]), 0);

    const beside = await world.cmdStandby(standby, ['-F999']);
    expectExit(beside, 4);
    expectExit(await world.cmdStandby(standby, ['-F999', '--force=primary-alive']), 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(100);
    if (major >= 12) expect(inForce()).not.toContain('recovery_min_apply_delay');
    const sentinel = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
    expect(sentinel).toContain('promoted_at_timeline');
    expect(sentinel).not.toMatch(/^left: /m);
    await expect(primary.sql('SELECT 1 FROM rows')).rejects.toThrow('does not exist');
  });
});

describe('a delayed standby', () => {
  test('that has replayed the moment refuses, and one whose user has set the delay gets it back', async ({
    world,
  }) => {
    const pair = await makePair(world, { ini: { failover_probe_timeout: 2 } });
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    const before = await now(primary);
    await archiveRows(pair, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    const past = await world.cmdStandby(standby, ['--pause-before', before]);
    expectExit(past, 4);
    expect(past.stderr).toContain('the standby has replayed past');
    expect(await standby.value('SELECT pg_is_wal_replay_paused()')).toBe('false');

    await standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '2h'");
    await standby.sql('SELECT pg_reload_conf()');
    await eventually(async () => (await standby.value('SHOW recovery_min_apply_delay')) === '2h');
    const moment = await now(primary);
    await archiveRows(pair, 20);
    expect(await countRows(standby)).toBe(10);
    const stopping = join(standby.host.directory, 'stopping');
    standby.writeIni({ stop_command: `touch ${stopping}; exec sleep 20` });
    const killed = world.startStandby(standby, ['--pause-before', moment]);
    await eventually(() => existsSync(stopping));
    killed.killFamily();
    await killed.finished;
    standby.writeIni({ stop_command: undefined });
    const isPaused = () => standby.value('SELECT pg_is_wal_replay_paused()');
    expect((await world.cmdStandby(standby, [])).stderr).toContain(
      'the replay of the standby here is paused',
    );
    const again = await world.cmdStandby(standby, ['--pause-before', before]);
    expectExit(again, 4);
    expect(again.stderr).toContain('has paused the replay of the standby here, and has not ended it');
    expect(await isPaused()).toBe('true');
    expect((await world.cmdStandby(standby, ['-P'])).stderr).toContain('resumed the replay');
    expect(await isPaused()).toBe('false');

    expectExit(await world.cmdStandby(standby, ['--pause-before', moment]), 0);
    expect(await standby.value('SHOW recovery_min_apply_delay')).toBe('0');
    for (let round = 0; round < 2; round++) {
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      expect(await standby.value('SHOW recovery_min_apply_delay')).toBe('2h');
    }
  });

  test('whose user has set the delay is promoted without it when it was stopped, and after a killed -F999', async ({
    world,
  }) => {
    const pair = await makePair(world, { ini: { failover_probe_timeout: 2, start_timeout: 20 } });
    const { primary, standby } = pair;
    const inForce = () => readFileSync(join(standby.pgdata, 'postgresql.auto.conf'), 'utf8');
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    await standby.sql("ALTER SYSTEM SET recovery_min_apply_delay = '2h'");
    await standby.sql('SELECT pg_reload_conf()');
    await eventually(async () => (await standby.value('SHOW recovery_min_apply_delay')) === '2h');
    await archiveRows(pair, 20);
    await primary.kill9();

    const action = join(standby.host.directory, 'promoting');
    standby.writeIni({ promote_command: `touch ${action}; exec sleep 20` });
    const killed = world.startStandby(standby, ['-F999']);
    await eventually(() => existsSync(action));
    killed.killFamily();
    await killed.finished;
    standby.writeIni({ promote_command: undefined });
    expect(inForce()).toContain("recovery_min_apply_delay = '0'");
    expect((await world.cmdStandby(standby, [])).stderr).toContain('has not brought it back');
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expect(await standby.value('SHOW recovery_min_apply_delay')).toBe('2h');
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(20);
    expect(inForce()).toContain("recovery_min_apply_delay = '2h'");
  });
});
