import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testMajors, wideMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { leftOver, sentinelText, startedPair, timelineOf } from './failover-kit.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

test.override({ major: testMajors()[0] ?? 15 });

describe.each(wideMajors())('cmd_standby -F999 on PostgreSQL %i', (major) => {
  test.override({ major });

  test('succeeds although neither the port nor ssh of the dead primary answers (bug of the original: failover needs ssh to the dead primary)', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 1000, {
      failoverSettings: { work_mem: '7MB' },
    });
    await primary.kill9();
    await primary.host.sshd.kill();

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toContain('this does not prove that it is down');
    expect(run.stderr).toContain('NOTICE: Statistics are not replicated in warm standy mode.\n');
    expect(run.stdout).toContain('HINT: Execute ANALYZE on your databases\nFailover finished\n');
    const begins = readFileSync(join(standby.pgdata, 'pg_wal', '00000002.history'), 'utf8').split('\t')[1];
    expect(run.stdout).toContain(
      `This server is the primary now, on timeline 2, which begins at LSN ${String(begins)}\n`,
    );
    expect(run.stdout).toMatch(
      /^Replayed to LSN [0-9A-F]+\/[0-9A-F]+; time of the last commit: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$/m,
    );
    expect(run.stdout).toMatch(
      /^All WAL in the archive (was replayed, to segment 00000001[0-9A-F]{16}|had been replayed before)$/m,
    );
    expect(run.stdout).toMatch(/^The old primary was not seen: .* is not determined$/m);
    expect(run.stdout).toContain('  - archiving: ');

    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(1000);
    expect(await standby.value('SHOW work_mem')).toBe('7MB');
    expect(standby.failoverActions()).toBe(1);
    expect(leftOver(standby)).toEqual([]);
    expect(sentinelText(standby)).toContain('promoted_at_timeline: 2\n');
    const autoConf = readFileSync(join(standby.pgdata, 'postgresql.auto.conf'), 'utf8');
    expect(autoConf).not.toMatch(/restore_command|wal_retrieve_retry_interval/);
    expect(await standby.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pitrtools%'")).toBe(
      '0',
    );

    await standby.restart();
    expect(await standby.inRecovery()).toBe(false);
    expect(await timelineOf(standby)).toBe(2);

    const again = await world.cmdStandby(standby, ['-F999']);
    expectExit(again, 4);
    expect(again.stderr).toContain('was failed over already');
    expect(standby.failoverActions()).toBe(1);
    const asStandby = await world.cmdStandby(standby, ['-S']);
    expectExit(asStandby, 4);
  });

  test('keeps the WAL that a streaming standby received and that was never archived', async ({ world }) => {
    const { primary, standby } = await startedPair(world, 10, {
      ini: { use_streaming_replication: 'on' },
    });
    await primary.sql('INSERT INTO rows SELECT generate_series(11, 30)');
    await eventually(async () => (await countRows(standby)) === 30);
    await primary.kill9();

    const run = await world.cmdStandby(standby, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toContain('the primary is dead: its host answers');
    expect(run.stderr).toContain('cmd_archiver --flush');
    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(30);
    const files = ['postgresql.auto.conf', 'recovery.conf'].map((name) => join(standby.pgdata, name));
    for (const file of files.filter(existsSync))
      expect(readFileSync(file, 'utf8')).not.toContain('primary_conninfo');
  });

  test('fails over a cold standby that was never started', async ({ world }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 500);
    await primary.kill9();

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(500);
    expect(await standby.inRecovery()).toBe(false);
    expect(leftOver(standby)).toEqual([]);
  });

  test('refuses while the primary answers, and changes nothing (bug of the original: promotes while the primary still answers)', async ({
    world,
  }) => {
    const { primary, standby } = await startedPair(world, 10);
    const before = sentinelText(standby);

    const refused = await world.cmdStandby(standby, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('PostgreSQL answers at');
    primary.configure({ listen_addresses: '127.0.0.1' });
    await primary.restart();
    const alsoRefused = await world.cmdStandby(standby, ['-F999']);
    expectExit(alsoRefused, 4);
    expect(alsoRefused.stderr).toMatch(/its postmaster runs there \(pid \d+\)/);

    expect(await standby.inRecovery()).toBe(true);
    expect(sentinelText(standby)).toBe(before);
    expect(standby.failoverActions()).toBe(0);

    // What is named is overruled, and nothing else.
    renameSync(standby.archiveDir, `${standby.archiveDir}.away`);
    const named = ['-F999', '--force=primary-alive'];
    const stillRefused = await world.cmdStandby(standby, named);
    expectExit(stillRefused, 4);
    expect(stillRefused.stderr).toContain('the archive cannot be read');
    expect(stillRefused.stderr).not.toContain('its postmaster runs there');
    expect(await standby.inRecovery()).toBe(true);
    renameSync(`${standby.archiveDir}.away`, standby.archiveDir);

    const forced = await world.cmdStandby(standby, named);
    expectExit(forced, 0);
    expect(forced.stderr).toMatch(
      /its postmaster runs there .*\(--force=primary-alive\).*two servers take writes/,
    );
    expect(await standby.inRecovery()).toBe(false);
  });
});

test('exits 0 without action_failover, and --dry-run changes nothing (bug of the original: a successful failover without action_failover exits 1)', async ({
  world,
}) => {
  const { primary, standby } = await startedPair(world, 10, { ini: { action_failover: undefined } });
  await primary.kill9();
  const plan = await world.cmdStandby(standby, ['-F999', '--dry-run']);
  expectExit(plan, 0);
  expect(plan.stdout).toMatch(/\d\. make the server end instead of opening.*\n\d\. promote the server/);
  expect(plan.stdout).toContain('Dry run: nothing was changed.');
  expect(await standby.inRecovery()).toBe(true);
  expectExit(await world.cmdStandby(standby, ['-F999']), 0);
});
