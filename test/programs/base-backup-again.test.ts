import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(failureMajors())('a further base backup of PostgreSQL %i', (major) => {
  test.override({ major });

  test('turns a promoted server back into a standby of its old primary, as the how-to shows it', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    for (const action of ['-I', '-B', '-S'])
      expect(await world.cmdStandby(standby, [action])).toMatchObject({ code: 0 });
    await primary.stop('immediate');
    expect(await world.cmdStandby(standby, ['-F999'])).toMatchObject({ code: 0 });
    await standby.sql('CREATE TABLE only_here (n int)');
    expect(await world.cmdStandby(standby, ['-Astop'])).toMatchObject({ code: 0 });
    // What a promoted server leaves where it ships into its own archive.
    writeFileSync(
      join(standby.archiveDir, '00000002.history'),
      '1\t0/4000000\tno recovery target specified\n',
    );
    await primary.start();
    await primary.sql('CREATE TABLE t AS SELECT 1 AS n');

    const again = await world.cmdStandby(standby, ['-B']);
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).toMatch(/NOTICE: moved \d+ WAL files of another history to .*\.aside-/);
    expect(existsSync(join(standby.archiveDir, '00000002.history'))).toBe(false);
    expect(readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted');

    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await primary.sql('INSERT INTO t VALUES (2)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '2');
    expect(await standby.value("SELECT to_regclass('only_here') IS NULL")).toBe('true');
  });

  test('moves superseded WAL aside only after it has succeeded, and --cleanup removes that WAL', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);
    const asides = () => readdirSync(standby.archiveDir).filter((name) => name.startsWith('.superseded-'));
    const olds = asides();
    await primary.sql('CREATE TABLE t AS SELECT 1 AS n');
    await primary.archived(await primary.switchWal());
    const before = standby.archive();

    const closed = join(primary.pgdata, 'base', '1', '77777');
    writeFileSync(closed, 'x');
    chmodSync(closed, 0);
    expectExit(await world.cmdStandby(standby, ['-B']), 4);
    expect(standby.archive()).toEqual(expect.arrayContaining(before));
    expect(asides()).toEqual(olds);

    chmodSync(closed, 0o600);
    const good = await world.cmdStandby(standby, ['-B']);
    expectExit(good, 0);
    expect(good.stderr).toMatch(/NOTICE: moved \d+ WAL files that are older than this backup to /);
    const start = /LOCATION: .*file ([0-9A-F]{24})/.exec(
      readFileSync(inPgdata(standby, 'backup_label'), 'utf8'),
    );
    const older = before.filter((name) => name < (start?.[1] ?? ''));
    expect(older.length).toBeGreaterThan(1);
    for (const name of older) expect(standby.archive()).not.toContain(name);
    const [made = ''] = asides().filter((name) => !olds.includes(name));
    expect(readdirSync(join(standby.archiveDir, made))).toEqual(expect.arrayContaining(older));

    expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
    expect(asides()).toEqual([]);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '1');
  });

  test("keeps the standby's conf.d and the files that its postgresql.conf includes, and so does the first base backup", async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    for (const { pgdata } of [primary, standby]) {
      mkdirSync(join(pgdata, 'conf.d'), { recursive: true });
      mkdirSync(join(pgdata, 'site'), { recursive: true });
    }
    rmSync(inPgdata(standby, 'site'), { recursive: true });
    writeFileSync(join(primary.pgdata, 'conf.d', 'primary.conf'), '');
    writeFileSync(join(primary.pgdata, 'site', 'primary.conf'), '');
    writeFileSync(inPgdata(standby, 'conf.d', 'standby.conf'), '');
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(readdirSync(inPgdata(standby, 'conf.d'))).toEqual(['standby.conf']);
    expect(readdirSync(inPgdata(standby, 'site'))).toEqual(['primary.conf']);

    writeFileSync(inPgdata(standby, 'postgresql.conf'), "include_dir 'mine'\n");
    mkdirSync(inPgdata(standby, 'mine'));
    writeFileSync(inPgdata(standby, 'mine', 'standby.conf'), '');
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(readdirSync(inPgdata(standby, 'conf.d'))).toEqual(['standby.conf']);
    expect(readdirSync(inPgdata(standby, 'mine'))).toEqual(['standby.conf']);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
  });

  test('copies a file that changed within the second of the last copy and kept its size, and new files beside it', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await world.cmdStandby(standby, ['-I']);
    mkdirSync(join(primary.pgdata, 'inside'), { mode: 0o700 });
    await primary.sql(`CREATE TABLESPACE inside LOCATION '${join(primary.pgdata, 'inside')}'`);
    const [folder = ''] = readdirSync(join(primary.pgdata, 'inside'));
    const files = ['base/1/77777', `inside/${folder}/77777`, 'pg_größe'];
    // Written while the first backup looks at them: the time is not before its start.
    const soon = new Date(Date.now() + 3_600_000);
    const write = (content: string) => {
      for (const file of files.map((name) => join(primary.pgdata, name))) {
        writeFileSync(file, content);
        utimesSync(file, soon, soon);
      }
    };
    write('before');
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    write('behind');
    for (const file of files)
      expect(statSync(join(primary.pgdata, file)).mtimeMs).toBe(statSync(inPgdata(standby, file)).mtimeMs);
    writeFileSync(join(primary.pgdata, 'pg_stat', 'added'), 'behind');
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    for (const file of [...files, 'pg_stat/added'])
      expect(readFileSync(inPgdata(standby, file), 'utf8')).toBe('behind');
  });

  test("copies the primary's configuration only once, without the settings that contain the primary's paths", async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, {
      ini: { pg_conf: undefined, pg_hba_conf: undefined },
    });
    const hba = join(primary.pgdata, 'pg_hba.conf');
    primary.configure({ data_directory: primary.pgdata, hba_file: hba });
    appendFileSync(join(primary.pgdata, 'postgresql.conf'), "include_dir 'conf.d'\n");
    mkdirSync(join(primary.pgdata, 'conf.d'));
    await primary.restart();
    await primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
    if (major >= 12) await primary.sql("ALTER SYSTEM SET restore_command = 'false'");
    await world.cmdStandby(standby, ['-I']);

    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup).toMatchObject({ code: 0 });
    expect(backup.stderr).toContain("NOTICE: copying the primary's postgresql.conf");
    expect(backup.stderr).toContain("contains the primary's archive_command");
    const configuration = readFileSync(inPgdata(standby, 'postgresql.conf'), 'utf8');
    expect(configuration).not.toMatch(/^(data_directory|hba_file)/m);
    expect(configuration).toContain('max_wal_senders');
    expect(readFileSync(inPgdata(standby, 'pg_hba.conf'))).toEqual(readFileSync(hba));
    expect(readFileSync(inPgdata(standby, 'postgresql.auto.conf'), 'utf8')).not.toContain('restore_command');

    appendFileSync(
      inPgdata(standby, 'postgresql.conf'),
      `port = ${standby.port}\nunix_socket_directories = '${standby.socketDirectory}'\nlisten_addresses = ''\n`,
    );
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(readFileSync(inPgdata(standby, 'postgresql.conf'), 'utf8')).toContain(`port = ${standby.port}`);
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    expect(await standby.inRecovery()).toBe(true);
  });

  test('keeps a linked pg_wal of this host, follows no link of the primary, and removes the files of the old server', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    await primary.stop();
    const [theirWal, ourWal] = [join(world.directory, 'their wal'), join(world.directory, 'our wal')];
    cpSync(join(primary.pgdata, 'pg_wal'), theirWal, { recursive: true });
    rmSync(join(primary.pgdata, 'pg_wal'), { recursive: true });
    symlinkSync(theirWal, join(primary.pgdata, 'pg_wal'));
    mkdirSync(join(world.directory, 'outside'));
    writeFileSync(join(world.directory, 'outside', 'file'), 'content');
    symlinkSync(join(world.directory, 'outside'), join(primary.pgdata, 'linked'));
    await primary.start();

    mkdirSync(ourWal);
    mkdirSync(standby.pgdata, { recursive: true, mode: 0o700 });
    symlinkSync(ourWal, inPgdata(standby, 'pg_wal'));
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(lstatSync(inPgdata(standby, 'pg_wal')).isSymbolicLink()).toBe(true);
    expect(readdirSync(ourWal)).toEqual(['archive_status']);
    expect(lstatSync(inPgdata(standby, 'linked')).isSymbolicLink()).toBe(false);
    expect(readFileSync(inPgdata(standby, 'linked', 'file'), 'utf8')).toBe('content');

    const leftovers = ['recovery.signal', 'backup_label.old', 'recovery.conf', 'postmaster.opts', 'gone.txt'];
    for (const name of leftovers) writeFileSync(inPgdata(standby, name), '');
    mkdirSync(inPgdata(standby, 'pg_replslot', 'mine'));
    for (const name of ['000000010000000000000001', 'xlogtemp.7', 'RECOVERYXLOG'])
      writeFileSync(join(ourWal, name), '');
    mkdirSync(join(ourWal, 'lost+found'));
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(leftovers.filter((name) => existsSync(inPgdata(standby, name)))).toEqual([]);
    expect(readdirSync(inPgdata(standby, 'pg_replslot'))).toEqual([]);
    expect(readdirSync(ourWal)).toEqual(['archive_status', 'lost+found']);
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
  });
});
