import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair, type PairOptions } from './standby-kit.ts';

interface TimedPair extends Pair {
  /** A moment with 10 rows: 20 more came later. */
  readonly moment: string;
  /** A moment of the primary's clock after all that was archived. */
  readonly after: string;
}

/** A cold standby with an archive in which 10 rows were written before a moment, and 20 more after it. */
async function timedPair(world: World, options: PairOptions = {}): Promise<TimedPair> {
  const pair = await makePair(world, options);
  await archiveRows(pair, 10);
  const moment = await pair.primary.value('SELECT clock_timestamp()::text');
  await archiveRows(pair, 30);
  const after = await pair.primary.value('SELECT clock_timestamp()::text');
  return { ...pair, moment, after };
}

describe.each(failureMajors())('cmd_standby -F999 -R on PostgreSQL %i', (major) => {
  test.override({ major });

  test('recovers a cold standby to the requested time and not beyond it', async ({ world }) => {
    const { primary, standby, moment } = await timedPair(world);
    await primary.kill9();

    const run = await world.cmdStandby(standby, ['-F999', '-R', moment]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Recovery to \d{4}-.* UTC\)\n/);
    expect(run.stdout).toMatch(/The last transaction in it was committed at \d{4}-/);
    expect(run.stdout).toContain('Failover finished\n');
    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(10);
    expect(standby.failoverActions()).toBe(1);

    const autoConf = join(standby.pgdata, 'postgresql.auto.conf');
    if (existsSync(autoConf)) expect(readFileSync(autoConf, 'utf8')).not.toContain('recovery_target_time');
    for (const name of ['recovery.signal', 'standby.signal', 'recovery.conf'])
      expect(existsSync(join(standby.pgdata, name))).toBe(false);
    await standby.restart();
    expect(await countRows(standby)).toBe(10);
  });

  test('pauses just before a DROP TABLE, and names the table for which every query waits', async ({
    world,
  }) => {
    const { primary, standby } = await timedPair(world);
    const xid = await primary.withSession(async (client) => {
      await client.query('CREATE TABLE dropped ()');
      await client.query('BEGIN');
      await client.query('DROP TABLE dropped');
      const { rows } = await client.query<{ xid: string }>('SELECT txid_current() AS xid');
      await client.query('COMMIT');
      return rows[0]?.xid ?? '';
    });
    await standby.received(await primary.switchWal());
    await primary.kill9();

    const before = ['--target-xid', xid, '--target-exclusive', '--target-action', 'pause'];
    const run = await world.cmdStandby(standby, ['-F999', ...before]);
    expectExit(run, 0);
    expect(run.stdout).toContain(
      'Locked by transactions that were not finished there: public.dropped in database "postgres"\n',
    );
    await standby.withSession(async (client) => {
      await client.query("SET lock_timeout = '100ms'");
      await expect(client.query('SELECT FROM dropped')).rejects.toThrow(/lock timeout/);
    });
  });

  test('refuses an impossible request before any change', async ({ world }) => {
    const { primary, standby, moment } = await timedPair(world);
    await primary.kill9();
    const recover = (at: string, ...more: string[]) =>
      world.cmdStandby(standby, ['-F999', '-R', at, ...more]);

    expect((await recover('half past ten')).stderr).toContain('is not a timestamp');
    expect((await recover('2999-01-01 00:00:00+00')).stderr).toContain('lies in the future');
    expect((await recover('2008-05-28 11:00:38.059389+00')).stderr).toContain(
      'before the end of the base backup',
    );
    const zoneless = await recover('2999-01-01 00:00:00');
    expectExit(zoneless, 4);
    expect(existsSync(join(standby.pgdata, 'backup_label'))).toBe(true);
    expect(existsSync(join(standby.pgdata, 'pitrtools.json'))).toBe(false);

    const plan = await recover(moment, '--dry-run');
    expectExit(plan, 0);
    expect(plan.stdout).toContain('wait until it has recovered to');
    expect(existsSync(join(standby.pgdata, 'backup_label'))).toBe(true);

    standby.writeIni({ use_streaming_replication: 'on' });
    const streaming = await recover(moment);
    expectExit(streaming, 4);
    expect(streaming.stderr).toContain('use_streaming_replication is on');
  });

  test('refuses while the primary answers, and on a hot standby that has replayed past the requested time', async ({
    world,
  }) => {
    const { primary, standby, moment } = await timedPair(world);
    const alive = await world.cmdStandby(standby, ['-F999', '-R', moment]);
    expectExit(alive, 4);
    expect(alive.stderr).toContain('the primary is alive');

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows({ primary, standby }, 40);
    await primary.kill9();
    await expect.poll(() => countRows(standby), { timeout: 120_000 }).toBe(40);
    const past = await world.cmdStandby(standby, ['-F999', '-R', moment]);
    expectExit(past, 4);
    expect(past.stderr).toContain('has replayed past');
    expect(await standby.inRecovery()).toBe(true);
  });

  test('reports a time that the archive does not reach, and never claims to have reached it', async ({
    world,
  }) => {
    const { primary, standby, after } = await timedPair(world);
    await primary.sql('INSERT INTO rows VALUES (31)');
    const later = await primary.value('SELECT clock_timestamp()::text');
    await primary.kill9();
    expect(after < later).toBe(true);

    const run = await world.cmdStandby(standby, ['-F999', '-R', later]);
    expectExit(run, 1);
    expect(run.stderr).toContain('the WAL in the archive ends before');
    expect(standby.failoverActions()).toBe(0);
    expect(standby.isRunning()).toBe(false);
    // Nobody starts by accident a recovery that is on hold.
    await standby.start().catch(() => undefined);
    expect(standby.isRunning()).toBe(false);
    expect(standby.logText()).toContain('an interrupted recovery is on hold');
    expectExit(await world.cmdStandby(standby, ['-A', 'start']), 4);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 30);
  });

  test('never takes a problem with the archive for the end of the WAL', async ({ world }) => {
    const { primary, standby, after } = await timedPair(world);
    await primary.kill9();
    const segments = standby.archive().filter((name) => name.length === 24);
    const last = segments.at(-1) ?? '';
    const bytes = standby.archivedBytes(last);
    truncateSync(join(standby.archiveDir, last), 1000);
    const short = await world.cmdStandby(standby, ['-F999', '-R', after]);
    expectExit(short, 4);
    expect(short.stderr).toContain(
      `segment ${last} cannot be replayed: it has 1000 bytes instead of 16777216`,
    );

    writeFileSync(join(standby.archiveDir, last), bytes);
    const history = join(standby.archiveDir, '00000002.history');
    writeFileSync(history, '1\t0/1\tx\n', { mode: 0 });
    const unreadable = await world.cmdStandby(standby, ['-F999', '-R', after]);
    expectExit(unreadable, 4);
    expect(unreadable.stderr).toContain(`cannot read "${history}"`);
    expect(standby.isRunning()).toBe(false);
  });
});
