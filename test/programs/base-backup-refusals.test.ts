import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { makeCluster } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import { allShipped, backupPair, inPgdata, installHelpers, snapshot } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const refused = 4;

describe.each(failureMajors())('cmd_standby -I and -B on PostgreSQL %i', (major) => {
  test.override({ major });

  test('refuse if the pid file cannot be read (bug of the original: any error while reading the pid file means "not running", so rsync --delete hits a live server)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    await world.cmdStandby(standby, ['-B']);
    await world.cmdStandby(standby, ['-S']);
    const live = await world.cmdStandby(standby, ['-B']);
    expect(live).toMatchObject({ code: refused });
    expect(live.stderr).toContain(`PostgreSQL runs here on "${standby.pgdata}"`);
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: refused });

    chmodSync(inPgdata(standby, 'postmaster.pid'), 0o000);
    const unreadable = await world.cmdStandby(standby, ['-B']);
    expect(unreadable).toMatchObject({ code: refused });
    expect(unreadable.stderr).toContain('cannot determine whether PostgreSQL runs here');
    chmodSync(inPgdata(standby, 'postmaster.pid'), 0o600);
    expect(await standby.inRecovery()).toBe(true);
    expect(primary.isRunning()).toBe(true);
  });

  test("leave the archive unchanged if WAL does not arrive (bug of the original: the standby's archive emptied before anything is known to work)", async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    standby.writeIni({ wal_timeout: 8 });
    await allShipped(primary);
    // A shipper would continue for an archive_command that only fails.
    primary.writeIni({ state: 'offline' });
    const before = [snapshot(standby.pgdata), snapshot(standby.archiveDir)];

    const run = await world.cmdStandby(standby, ['-B']);
    expect(run).toMatchObject({ code: refused });
    expect(run.stderr).toMatch(/segment [0-9A-F]{24} did not arrive in/);
    expect(run.stderr).toContain('cmd_archiver -C FILE --resume');
    expect(run.stderr).toMatch(/pg_stat_archiver on the primary: .* failures/);
    expect([snapshot(standby.pgdata), snapshot(standby.archiveDir)]).toEqual(before);
    expect(existsSync(join(standby.archiveDir, '.resume'))).toBe(false);
  });

  test('refuse a primary without the helper functions, and name the file and the command', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { helpers: 'none' });
    const run = await world.cmdStandby(standby, ['-I']);
    expect(run).toMatchObject({ code: refused });
    const file = major >= 15 ? 'cmd_standby.15.sql' : 'cmd_standby.10.sql';
    expect(run.stderr).toContain(`psql -U ${world.user} -d postgres < scripts/${file}`);
    expect(existsSync(standby.pgdata)).toBe(false);
    await installHelpers(primary);
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
  });

  test('refuse a pgdata that is, contains or lies in the data directory of the primary', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    for (const pgdata of [primary.pgdata, join(primary.pgdata, 'base'), join(primary.pgdata, '..')]) {
      standby.writeIni({ pgdata });
      for (const action of ['-I', '-B']) {
        const run = await world.cmdStandby(standby, [action]);
        expect(run).toMatchObject({ code: refused });
        expect(run.stderr).toMatch(/the primary's own directory|PostgreSQL runs here/);
      }
    }
    expect(await primary.value('SELECT 1')).toBe('1');
  });

  test('refuse a pgdata with another cluster, but not one that was never used', async ({ world }) => {
    const { standby } = await backupPair(world);
    await makeCluster(standby, { settings: {} });
    await standby.start();
    await standby.sql('CREATE TABLE precious AS SELECT 1 AS n');
    await standby.stop();
    for (const action of ['-I', '-B']) {
      const run = await world.cmdStandby(standby, [action]);
      expect(run).toMatchObject({ code: refused });
      expect(run.stderr).toContain('holds another cluster');
    }
    rmSync(standby.pgdata, { recursive: true });
    await makeCluster(standby, { settings: {} });
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
  });

  test('refuse a linked pg_wal unless the link leads to WAL of this cluster only', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    await primary.archived(await primary.switchWal());
    await allShipped(primary);
    const before = snapshot(standby.archiveDir);
    const [files, own] = [join(world.directory, 'files'), join(world.directory, 'own')];
    for (const path of [files, own]) mkdirSync(path);
    writeFileSync(join(files, 'thesis.txt'), '');
    symlinkSync(standby.archiveDir, join(world.directory, 'by a link'));
    const cases = [
      [standby.archiveDir, /is configured twice, for two purposes/],
      [join(world.directory, 'by a link'), /is configured twice, for two purposes/],
      [standby.host.directory, /"[^"]*archive" lies in/],
      [join(world.directory, 'nowhere'), /is a link to "[^"]*nowhere", which is not there/],
      [files, /which holds more than WAL: thesis.txt/],
      [join(primary.pgdata, 'pg_wal'), /lies in the primary's own directory/],
    ] as const;
    const link = inPgdata(standby, 'pg_wal');
    for (const [target, message] of cases) {
      symlinkSync(target, link);
      for (const args of [['-I'], ['-B'], ['-B', '--force']]) {
        const run = await world.cmdStandby(standby, args);
        expectExit(run, refused);
        expect(run.stderr).toMatch(message);
        expect(run.stderr).toContain(link);
      }
      rmSync(link);
    }
    expect(snapshot(standby.archiveDir)).toEqual(before);

    const other = await world.addStandby('standby2', primary, {});
    await makeCluster(other, { settings: {} });
    for (const name of readdirSync(inPgdata(other, 'pg_wal')).filter((text) => /^[0-9A-F]{24}$/.test(text)))
      cpSync(inPgdata(other, 'pg_wal', name), join(own, name));
    symlinkSync(own, link);
    const foreign = await world.cmdStandby(standby, ['-B']);
    expectExit(foreign, refused);
    expect(foreign.stderr).toContain(`"${link}" is a link to WAL of another cluster`);
    expectExit(await world.cmdStandby(standby, ['-B', '--force']), 0);
    expect(readdirSync(own)).toEqual(['archive_status']);
  });

  test('refuse a pgdata whose server was not shut down, unless forced', async ({ world }) => {
    const { standby } = await backupPair(world);
    for (const action of ['-I', '-B', '-S'])
      expect(await world.cmdStandby(standby, [action])).toMatchObject({ code: 0 });
    await standby.kill9();
    const crashed = await world.cmdStandby(standby, ['-B']);
    expect(crashed).toMatchObject({ code: refused });
    expect(crashed.stderr).toContain('holds a server that was not shut down: its postmaster.pid names');
    expect(await world.cmdStandby(standby, ['-B', '--force'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
  });

  test.skipIf(!hasSmallDisks())(
    'refuse a file system without enough space, with numbers, and fail if it becomes full',
    async ({ world }) => {
      const disk = await smallDisk();
      const { primary, standby } = await backupPair(world, { pgdata: join(disk.directory, 'pgdata') });
      try {
        expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
        writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(30 * 1024 * 1024));
        const full = await world.cmdStandby(standby, ['-B']);
        expect(full).toMatchObject({ code: refused });
        expect(full.stderr).toMatch(
          /the file system of \S+ has [\d.]+ MB free, and \d+(\.\d)? MB are needed/,
        );
        expect(existsSync(inPgdata(standby, 'global'))).toBe(false);
        const forced = await world.cmdStandby(standby, ['-B', '--force']);
        expect(forced).toMatchObject({ code: 1 });
        expect(forced.stderr).toContain('No space left on device');
        expect(await primary.value('SELECT 1')).toBe('1');
        rmSync(join(primary.pgdata, 'aaa-bulk'));
        expectExit(await world.cmdStandby(standby, ['-B']), 0);
      } finally {
        disk.release();
      }
    },
  );

  test('refuse an archive of another cluster, a missing archive, and another version', async ({ world }) => {
    const { standby } = await backupPair(world);
    const missing = await world.cmdStandby(standby, ['-B']);
    expect(missing).toMatchObject({ code: refused });
    expect(missing.stderr).toContain('there is no archivedir');

    mkdirSync(standby.archiveDir, { mode: 0o700 });
    writeFileSync(join(standby.archiveDir, '.pitrtools'), 'system_identifier: 42\nstandby: x\n');
    standby.writeIni({ pgversion: '9.6' });
    const run = await world.cmdStandby(standby, ['-B']);
    expect(run).toMatchObject({ code: refused });
    expect(run.stderr).toContain('belongs to cluster 42');
    expect(run.stderr).toContain(`pgversion: says 9.6, but the primary is PostgreSQL ${major}`);
    expect(existsSync(standby.pgdata)).toBe(false);
  });

  test('refuse a configuration file that they would copy last of all and cannot read', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const hba = join(primary.host.directory, 'hba.conf');
    copyFileSync(join(primary.pgdata, 'pg_hba.conf'), hba);
    primary.configure({ hba_file: hba });
    await primary.stop();
    await primary.start();
    standby.writeIni({ pg_hba_conf: undefined });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    chmodSync(hba, 0o000);
    const run = await world.cmdStandby(standby, ['-B']);
    expectExit(run, refused);
    expect(run.stderr).toContain(`there is no pg_hba.conf here, and the primary's "${hba}" cannot be read`);
    expect(existsSync(inPgdata(standby, 'PG_VERSION'))).toBe(false);

    chmodSync(hba, 0o600);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(readFileSync(inPgdata(standby, 'pg_hba.conf'))).toEqual(readFileSync(hba));
  });

  test('print the plan with --dry-run and change nothing', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const init = await world.cmdStandby(standby, ['-I', '--dry-run']);
    expect(init).toMatchObject({ code: 0 });
    expect(init.stdout).toMatch(/^1\. make the data directory .*\n[^]*Dry run: nothing was changed\.\n$/);
    expect(existsSync(standby.pgdata) || existsSync(standby.archiveDir)).toBe(false);
    await world.cmdStandby(standby, ['-I']);
    await allShipped(primary);
    const before = [snapshot(standby.pgdata), snapshot(standby.archiveDir)];
    const backup = await world.cmdStandby(standby, ['-B', '--dry-run']);
    expect(backup).toMatchObject({ code: 0 });
    expect(backup.stdout).toMatch(/prove that WAL arrives[^]*put pg_control into place/);
    expect([snapshot(standby.pgdata), snapshot(standby.archiveDir)]).toEqual(before);
  });

  test('refuse if the primary cannot be reached', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    await primary.host.sshd.kill();
    const run = await world.cmdStandby(standby, ['-I']);
    expect(run).toMatchObject({ code: 1 });
    expect(run.stderr).toContain('cannot reach the primary');
    expect(run.stderr).toContain('Connection refused');
  });
});
