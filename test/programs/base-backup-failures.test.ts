import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair, inPgdata, isCopying, startDirectly } from './backup-kit.ts';

const megabyte = 1024 * 1024;

/** Something that takes rsync some seconds at 2 MB/s: time to do something to it. */
function makeBulk(primary: Primary): void {
  writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(8 * megabyte));
}

async function sessionsOfOurs(primary: Primary): Promise<string> {
  return primary.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pitrtools%'");
}

async function expectStandbyOf(primary: Primary, standby: Standby, here: World): Promise<void> {
  await primary.sql('CREATE TABLE IF NOT EXISTS late (n int); INSERT INTO late VALUES (1)');
  const start = await here.cmdStandby(standby, ['-S']);
  expect(start).toMatchObject({ code: 0 });
  await primary.archived(await primary.switchWal());
  await eventually(async () => (await standby.value('SELECT count(*) FROM late')) === '1');
}

describe.each(failureMajors())('a base backup of PostgreSQL %i that fails', (major) => {
  test.override({ major });

  test('leaves a copy on which no server can start after kill -9, and the next run succeeds', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });

    makeBulk(primary);
    standby.writeIni({ rsync_flags: '--bwlimit=2000' });
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    running.signal('SIGKILL');
    expect(await running.finished).toMatchObject({ signal: 'SIGKILL' });
    await eventually(async () => (await sessionsOfOurs(primary)) === '0', { what: 'the backup to be over' });
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);
    expect(await startDirectly(standby)).toMatch(/pg_control/);
    const start = await world.cmdStandby(standby, ['-S']);
    expect(start.code).not.toBe(0);
    expect(start.stderr).toContain('is incomplete');

    standby.writeIni({ rsync_flags: '' });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    await expectStandbyOf(primary, standby, world);
  });

  test('ends the backup on the primary after SIGTERM, and reports what to do next', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=2000' } });
    await world.cmdStandby(standby, ['-I']);
    makeBulk(primary);
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    running.signal('SIGTERM');
    const stopped = await running.finished;
    expect(stopped).toMatchObject({ code: 6 });
    expect(stopped.stderr).toContain('no server can start on it until -B has succeeded');
    expect(stopped.stderr).toContain('stopped by SIGTERM');
    await eventually(async () => (await sessionsOfOurs(primary)) === '0', { what: 'the backup to be over' });
    standby.writeIni({ rsync_flags: '' });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
  });

  test('reports a file that cannot be read as a failure (bug of the original: rsync 23 taken for success)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=2000' } });
    await world.cmdStandby(standby, ['-I']);
    makeBulk(primary);
    const unreadable = join(primary.pgdata, 'base', '1', '77777');
    writeFileSync(unreadable, 'secret');
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    chmodSync(unreadable, 0o000);
    const failed = await running.finished;
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).not.toContain('finished successfully');
    expect(failed.stderr).toMatch(/copying .* failed/);
    expect(failed.stderr).toContain('exit status 23');
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);
    expect(await sessionsOfOurs(primary)).toBe('0');

    rmSync(unreadable);
    standby.writeIni({ rsync_flags: '' });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    await expectStandbyOf(primary, standby, world);
  });

  test('does not report success before its WAL has arrived (bug of the original: "base backup finished" while the WAL it needs is still on the primary)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, {
      ini: { rsync_flags: '--bwlimit=2000', wal_timeout: 5 },
    });
    await world.cmdStandby(standby, ['-I']);
    makeBulk(primary);
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    // From here on cmd_archiver queues, and PostgreSQL takes its WAL for archived.
    await standby.host.sshd.kill();
    const failed = await running.finished;
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).not.toContain('finished successfully');
    expect(failed.stderr).toMatch(/the backup needs WAL that did not arrive in .*: 0000000100000000000000/);
    expect(failed.stderr).toContain('The copy is kept');
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);

    await standby.host.sshd.start();
    expect(await world.cmdArchiver(primary, ['--flush'])).toMatchObject({ code: 0 });
    standby.writeIni({ rsync_flags: '', wal_timeout: 20 });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    await expectStandbyOf(primary, standby, world);
  });

  test('does not end another backup if its start has failed (bug of the original: stop_basebackup run although start failed, ending a foreign backup)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { primarySettings: { log_statement: 'all' } });
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    const control = readFileSync(inPgdata(standby, 'global', 'pg_control'));
    await primary.sql(`CREATE OR REPLACE FUNCTION cmd_pg_start_backup(label text, fast boolean) RETURNS text
      LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a backup is already in progress'; END $$`);
    const stops = () => primary.logText().split('.cmd_pg_stop_backup(').length;
    const before = stops();
    const failed = await world.cmdStandby(standby, ['-B']);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stderr).toContain('a backup is already in progress');
    expect(stops()).toBe(before);
    expect(readFileSync(inPgdata(standby, 'global', 'pg_control'))).toEqual(control);
    await expectStandbyOf(primary, standby, world);
  });

  test('refuses a second run at the same time', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=400' } });
    await world.cmdStandby(standby, ['-I']);
    makeBulk(primary);
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    const second = await world.cmdStandby(standby, ['-B']);
    expect(second).toMatchObject({ code: 4 });
    expect(second.stderr).toContain('another action of cmd_standby');
    running.signal('SIGTERM');
    await running.finished;
  });
});

describe.each(failureMajors().filter((major) => major < 15))('the backup mode of PostgreSQL %i', (major) => {
  test.override({ major });

  test('-A start_basebackup and -A stop_basebackup work, and the backup of another tool continues during -B', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-Astart_basebackup'])).toMatchObject({ code: 0 });
    expect(await primary.value('SELECT pg_is_in_backup()')).toBe('true');
    expect(await world.cmdStandby(standby, ['-Astart_basebackup'])).toMatchObject({ code: 4 });
    expect(await world.cmdStandby(standby, ['-Astop_basebackup'])).toMatchObject({ code: 0 });
    expect(await primary.value('SELECT pg_is_in_backup()')).toBe('false');
    const none = await world.cmdStandby(standby, ['-Astop_basebackup']);
    expect(none).toMatchObject({ code: 4 });
    expect(none.stderr).toContain('not in backup mode');

    await primary.sql("SELECT pg_start_backup('other tool', true)");
    const other = await world.cmdStandby(standby, ['-Astop_basebackup']);
    expect(other).toMatchObject({ code: 4 });
    expect(other.stderr).toContain('not begun by this standby: "other tool"');
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(readFileSync(inPgdata(standby, 'backup_label'), 'utf8')).toMatch(/^LABEL: pitrtools /m);
    expect(await primary.value('SELECT pg_is_in_backup()')).toBe('true');
    await primary.sql('SELECT pg_stop_backup()');
    await expectStandbyOf(primary, standby, world);
  });
});

describe.each(failureMajors().filter((major) => major >= 15))('the backup mode of PostgreSQL %i', (major) => {
  test.override({ major });

  test('no longer exists, and -A start_basebackup and -A stop_basebackup report this', async ({ world }) => {
    const { standby } = await backupPair(world);
    for (const what of ['start_basebackup', 'stop_basebackup']) {
      const run = await world.cmdStandby(standby, ['-A', what]);
      expect(run).toMatchObject({ code: 4 });
      expect(run.stderr).toContain(`PostgreSQL ${major} has no backup mode`);
      expect(run.stderr).toContain('Use -B');
    }
  });
});
