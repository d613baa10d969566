import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkControlFile } from '../../src/postgres/control-file.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { holdRestore } from './hold-restore.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

/** What an unmounted file system leaves: an empty directory. Returns what mounts it again. */
function unmount(standby: Standby): () => void {
  const away = `${standby.archiveDir}.away`;
  renameSync(standby.archiveDir, away);
  mkdirSync(standby.archiveDir, { mode: 0o700 });
  return () => {
    // Fails if anybody has written there meanwhile.
    rmdirSync(standby.archiveDir);
    renameSync(away, standby.archiveDir);
  };
}

function stateOf(standby: Standby): string {
  const check = checkControlFile(readFileSync(join(standby.pgdata, 'global', 'pg_control')));
  return check.kind === 'good' ? check.control.state : check.reason;
}

function criticals(host: Host): string[] {
  return host
    .notifications()
    .filter(({ severity }) => severity === 'critical')
    .map(({ message }) => message);
}

/** A standby that cannot be queried for the LSN it has replayed: what keeps it closed is its restore_command alone. */
const unasked = { settings: { hot_standby: 'off' } };

describe.each(failureMajors())('an archive that is unmounted on PostgreSQL %i', (major) => {
  test.override({ major });

  test('during a point-in-time recovery the server stops and does not open, and after the mount it finishes the recovery', async ({
    world,
  }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const middle = await archiveRows(pair, 20);
    await archiveRows(pair, 30);
    const moment = await primary.value('SELECT clock_timestamp()::text');
    await archiveRows(pair, 40);
    await primary.kill9();

    const hold = holdRestore(standby.host, middle);
    const running = world.startStandby(standby, ['-F999', '-R', moment], { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: `the restore of ${middle}` });
    const mount = unmount(standby);
    hold.release();
    const failed = await running.finished;
    expectExit(failed, 1);
    expect(failed.stdout).not.toContain('Failover finished');
    expect(failed.stderr).toContain('is not the archive of this standby, or is not mounted');
    expect(standby.isRunning()).toBe(false);
    expect(standby.failoverActions()).toBe(0);
    expect(stateOf(standby)).toBe('in-archive-recovery');
    // It never began a timeline of its own.
    expect(readdirSync(join(standby.pgdata, 'pg_wal')).filter((name) => /^00000002/.test(name))).toEqual([]);

    mount();
    const again = await world.cmdStandby(standby, ['-F999', '-R', moment]);
    expectExit(again, 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await countRows(standby)).toBe(30);
    expect(standby.failoverActions()).toBe(1);
  });

  test('while a hot standby replays, -F999 does not promote it, and after the mount -F999 loses nothing', async ({
    world,
  }) => {
    const pair = await makePair(world, { ini: { start_timeout: 5 } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const middle = await archiveRows(pair, 20);
    await archiveRows(pair, 30);
    await primary.kill9();

    const hold = holdRestore(standby.host, middle);
    const running = world.startStandby(standby, ['-F999'], { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: `the restore of ${middle}` });
    const mount = unmount(standby);
    hold.release();
    const failed = await running.finished;
    expectExit(failed, 1);
    expect(failed.stderr).toContain('does not replay the archive to its end');
    expect(failed.stderr).toContain('It has not been promoted.');
    expect(stateOf(standby)).toBe('in-archive-recovery');
    expect(standby.failoverActions()).toBe(0);

    mount();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(30);
    expect(standby.failoverActions()).toBe(1);
  });

  test('while a promoted warm standby replays, the server ends without opening, and after the mount -F999 loses nothing', async ({
    world,
  }) => {
    const pair = await makePair(world, unasked);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const middle = await archiveRows(pair, 20);
    await archiveRows(pair, 30);
    await archiveRows(pair, 40);
    await primary.kill9();

    const hold = holdRestore(standby.host, middle);
    const running = world.startStandby(standby, ['-F999'], { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: `the restore of ${middle}` });
    await eventually(() => running.output().includes('wait until it is out of recovery'));
    const mount = unmount(standby);
    hold.release();
    const failed = await running.finished;
    expect(failed.stdout).not.toContain('Failover finished');
    expectExit(failed, 1);
    expect(failed.stderr).toContain('the server has not opened, because it cannot read the archive');
    expect(standby.isRunning()).toBe(false);
    expect(stateOf(standby)).toBe('in-archive-recovery');
    expect(standby.failoverActions()).toBe(0);

    mount();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await countRows(standby)).toBe(40);
    expect(standby.failoverActions()).toBe(1);
    expect(existsSync(join(standby.pgdata, 'pitrtools-promoting'))).toBe(false);
  });

  test('if it is unmounted only for a moment, a promoted standby waits for it', async ({ world }) => {
    const pair = await makePair(world, unasked);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const middle = await archiveRows(pair, 20);
    await archiveRows(pair, 30);
    await primary.kill9();

    const hold = holdRestore(standby.host, middle);
    const running = world.startStandby(standby, ['-F999'], { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: `the restore of ${middle}` });
    await eventually(() => running.output().includes('wait until it is out of recovery'));
    const mount = unmount(standby);
    hold.release();
    await eventually(() => existsSync(join(standby.pgdata, 'pitrtools-restore-trouble')));
    mount();
    expectExit(await running.finished, 0);
    expect(await countRows(standby)).toBe(30);
  });

  test('a hot standby keeps serving queries, reports each change once, and continues replay after the mount', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
    for (const args of [['-I'], ['-B'], ['-S']]) expectExit(await world.cmdStandby(standby, args), 0);
    await archiveRows({ primary, standby }, 10);
    await eventually(async () => (await countRows(standby)) === 10, { what: 'the first rows' });

    await standby.withSession(async (client) => {
      const mount = unmount(standby);
      await eventually(() => criticals(standby.host).length === 1, { what: 'word of the archive' });
      await primary.sql('INSERT INTO rows SELECT generate_series(11, 20)');
      await primary.archived(await primary.switchWal());
      await eventually(() => criticals(primary.host).length === 1, { what: 'word of the standby' });
      expect(criticals(primary.host)[0]).toMatch(/sentinel/);
      const troubles = () => standby.logText().split('is not the archive of this standby').length - 1;
      const soFar = troubles();
      await eventually(() => troubles() > soFar + 1, { what: 'the server to ask again' });
      // The session from before continues.
      const { rows } = await client.query<{ n: string }>('SELECT count(*) AS n FROM rows');
      expect(rows).toEqual([{ n: '10' }]);
      expect(readdirSync(standby.archiveDir)).toEqual([]);
      mount();
      await eventually(async () => (await countRows(standby)) === 20, {
        limitMs: 120_000,
        what: 'the rows that were written meanwhile',
      });
      expect((await client.query('SELECT pg_is_in_recovery() AS yes')).rows).toEqual([{ yes: true }]);
    });
    await eventually(() => standby.host.notifications().at(-1)?.severity === 'ok');
    await eventually(() => primary.host.notifications().at(-1)?.severity === 'ok');
    expect(criticals(standby.host)).toHaveLength(1);
    expect(criticals(primary.host)).toHaveLength(1);
  });
});

describe.each(failureMajors())('an archive that is unmounted before an action, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('neither -B nor a repeated -I, on the standby or on the primary, writes a sentinel below its mount point', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    const mount = unmount(standby);

    const backup = await world.cmdStandby(standby, ['-B']);
    expectExit(backup, 4);
    expect(backup.stderr).toContain('has no .pitrtools: is its file system mounted?');
    const init = await world.cmdStandby(standby, ['-I']);
    expectExit(init, 4);
    expect(init.stderr).toContain('this host was a standby already: is its file system mounted?');
    expect(init.stderr).toContain('--force=new-archive');
    const initThere = await world.cmdArchiver(primary, ['-I']);
    expectExit(initThere, 1);
    expect(initThere.stderr).toContain('is its file system mounted?');
    const segment = await primary.switchWal();
    await primary.archived(segment);
    expect(readdirSync(standby.archiveDir)).toEqual(['.cmd_standby.lock']);

    rmSync(join(standby.archiveDir, '.cmd_standby.lock'));
    mount();
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    expectExit(await world.cmdArchiver(primary, ['-I']), 0);
    unmount(standby);
    expectExit(await world.cmdStandby(standby, ['-I', '--force=new-archive']), 0);
    expect(readdirSync(standby.archiveDir)).toContain('.pitrtools');
  });
});
