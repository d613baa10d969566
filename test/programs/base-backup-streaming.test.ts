import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { clientProgram, testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { trustingHba } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { inPgdata } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const pgBasebackup = clientProgram('pg_basebackup');
const clientMajor = Number(/\/(\d+)\/bin\//.exec(pgBasebackup)?.[1]);
/** A server is copied by a program of its own version or a later one. */
const majors = testMajors().filter((major) => major <= clientMajor);
const failureMajor = majors.slice(-1);

const role = 'copier';
const password = "it's:a\\secret";

function lets(...lines: readonly string[]): string {
  return [
    ...lines,
    'host all copier 0.0.0.0/0 reject',
    'host replication copier 0.0.0.0/0 reject',
    trustingHba,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

const passwordHba = lets('host postgres copier 127.0.0.0/8 md5', 'host replication copier 127.0.0.0/8 md5');

/** A role with no more rights than the documentation asks for. */
async function makeRole(primary: Primary): Promise<void> {
  const literal = `'${password.replaceAll("'", "''")}'`;
  await primary.sql(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD ${literal}`);
  await primary.sql(`GRANT pg_read_all_settings, pg_read_all_stats TO ${role}`);
  await primary.sql(`GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO ${role}`);
  writeFileSync(join(primary.pgdata, 'pg_hba.conf'), passwordHba);
  await primary.reload();
}

interface PairOptions {
  readonly ini?: IniKeys;
  readonly pgdata?: string;
  readonly walSegmentMb?: number;
}

/** A primary that lets nobody in by ssh, and the place of a standby. */
async function pair(
  here: World,
  { ini = {}, pgdata, walSegmentMb }: PairOptions = {},
): Promise<{ primary: Primary; standby: Standby }> {
  const primary = await here.startPrimary({
    slaves: ['standby1'],
    ...(walSegmentMb === undefined ? {} : { walSegmentMb }),
  });
  const standby = await here.addStandby('standby1', primary, {
    ini: {
      wal_timeout: 20,
      start_timeout: 30,
      failover_probe_timeout: 2,
      basebackup_method: 'pg_basebackup',
      pg_basebackup: pgBasebackup,
      repl_db_user: role,
      repl_db_password: password,
      ...ini,
    },
    ...(pgdata === undefined ? {} : { pgdata }),
  });
  expectExit(await here.cmdArchiver(primary, ['-I']), 0);
  await makeRole(primary);
  await primary.host.sshd.kill();
  return { primary, standby };
}

async function makeTablespace(primary: Primary, name: string, location: string): Promise<string> {
  mkdirSync(location, { recursive: true });
  await primary.sql(`CREATE TABLESPACE "${name}" LOCATION '${location}'`);
  await primary.sql(`CREATE TABLE "in ${name}" TABLESPACE "${name}" AS SELECT generate_series(1, 5000) AS n`);
  return location;
}

async function expectReplayOf(primary: Primary, standby: Standby): Promise<void> {
  await primary.sql('CREATE TABLE IF NOT EXISTS late (n int); INSERT INTO late VALUES (1)');
  const count = await primary.value('SELECT count(*) FROM late');
  await primary.archived(await primary.switchWal());
  await eventually(async () => (await standby.value('SELECT count(*) FROM late')) === count);
}

function received(standby: Standby): boolean {
  return existsSync(inPgdata(standby, '.pitrtools-receiving', 'base'));
}

async function senders(primary: Primary): Promise<string> {
  return primary.value(`SELECT count(*) FROM pg_stat_activity WHERE usename = '${role}'`);
}

describe.each(majors)('a base backup by pg_basebackup of PostgreSQL %i', (major) => {
  test.override({ major });

  test('needs no ssh to the primary for -I, -B, -S, another -B and -F999', async ({ world }) => {
    const { primary, standby } = await pair(world);
    const plain = join(primary.host.directory, 'spaces', 'a b');
    const here = join(standby.host.directory, 'spaces', 'elsewhere');
    await makeTablespace(primary, 'fast', plain);
    await makeTablespace(primary, 'inner', join(primary.pgdata, 'inner'));
    const refused = await world.cmdStandby(standby, ['-I']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain(`"${plain}" is the primary's own directory`);
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${plain} = ${here}\n`);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    const foreign = join(here, readdirSync(plain)[0] ?? '', '5');
    mkdirSync(foreign, { recursive: true, mode: 0o700 });
    const occupied = await world.cmdStandby(standby, ['-B']);
    expectExit(occupied, 4);
    expect(occupied.stderr).toContain(`"${dirname(foreign)}" is not empty, and nothing in`);
    expect(existsSync(foreign)).toBe(true);
    rmSync(foreign, { recursive: true });
    mkdirSync(join(here, 'PG_8.9_200801011', '5'), { recursive: true });
    // A name that is no valid text.
    mkdirSync(Buffer.from(`${primary.pgdata}/\xe9`, 'latin1'), { mode: 0o700 });
    const backup = await world.cmdStandby(standby, ['-B']);
    expectExit(backup, 0);
    expect(backup.stdout).toContain('Base backup finished successfully');
    expect(backup.stdout).toMatch(/rate: .* by pg_basebackup/);
    expect(backup.stdout).toMatch(/size: .* in \d+ files/);
    expect(backup.stdout + backup.stderr).not.toContain('secret');
    expect(existsSync(inPgdata(standby, 'postgresql.conf'))).toBe(false);
    expect(existsSync(Buffer.from(`${standby.pgdata}/\xe9`, 'latin1'))).toBe(true);
    expect(readdirSync(standby.pgdata).filter((name) => name.startsWith('.pitrtools'))).toEqual([]);
    const links = readdirSync(inPgdata(standby, 'pg_tblspc')).map((oid) =>
      readlinkSync(inPgdata(standby, 'pg_tblspc', oid)),
    );
    expect(links.sort()).toEqual([here, inPgdata(standby, 'inner')].sort());
    const record = JSON.parse(readFileSync(inPgdata(standby, 'pitrtools.json'), 'utf8')) as unknown;
    expect(record).toMatchObject({
      backup: {
        status: 'complete',
        stopLsn: expect.stringMatching(/^0\/[0-9A-F]+$/) as string,
        copy: { files: expect.any(Number) as number, reusedBytes: 0 },
      },
    });

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await expectReplayOf(primary, standby);
    expect(await standby.value('SELECT count(*) FROM "in fast"')).toBe('5000');
    expect(await standby.value('SELECT count(*) FROM "in inner"')).toBe('5000');

    const running = await world.cmdStandby(standby, ['-B']);
    expectExit(running, 4);
    expect(running.stderr).toContain('PostgreSQL runs here');
    expectExit(await world.cmdStandby(standby, ['-Astop']), 0);
    writeFileSync(inPgdata(standby, 'left over'), '');
    mkdirSync(inPgdata(standby, 'conf.d'));
    mkdirSync(join(primary.pgdata, 'conf.d'));
    writeFileSync(inPgdata(standby, 'conf.d', 'standby.conf'), '');
    writeFileSync(join(primary.pgdata, 'conf.d', 'primary.conf'), '');
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expect(readdirSync(inPgdata(standby, 'conf.d'))).toEqual(['standby.conf']);
    expect(existsSync(inPgdata(standby, 'left over'))).toBe(false);
    expect(existsSync(join(here, 'PG_8.9_200801011', '5'))).toBe(true);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await expectReplayOf(primary, standby);
    await primary.stop();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    await standby.sql('INSERT INTO "in fast" VALUES (5001)');
  });
});

describe.each(failureMajor)('a base backup by pg_basebackup of PostgreSQL %i that fails', (major) => {
  test.override({ major });

  test("is refused before any change if the pg_hba.conf line, the role's right or the program is missing", async ({
    world,
  }) => {
    const { primary, standby } = await pair(world);
    writeFileSync(join(primary.pgdata, 'pg_hba.conf'), lets('host postgres copier 127.0.0.0/8 md5'));
    await primary.reload();
    const noLine = await world.cmdStandby(standby, ['-B']);
    expectExit(noLine, 4);
    expect(noLine.stderr).toContain(`pg_hba.conf of the primary does not let role "${role}" replicate`);
    expect(noLine.stderr).toContain(`host replication ${role}`);

    writeFileSync(join(primary.pgdata, 'pg_hba.conf'), passwordHba);
    await primary.reload();
    await primary.sql(`ALTER ROLE ${role} NOREPLICATION`);
    const noRight = await world.cmdStandby(standby, ['-B']);
    expectExit(noRight, 4);
    expect(noRight.stderr).toContain(`role "${role}" has no right to replicate`);
    expect(noRight.stderr).toContain(`ALTER ROLE ${role} REPLICATION`);

    await primary.sql(`ALTER ROLE ${role} REPLICATION`);
    standby.writeIni({ repl_db_password: 'wrong' });
    const wrong = await world.cmdStandby(standby, ['-B']);
    expectExit(wrong, 4);
    expect(wrong.stderr).toContain(`does not accept the password of role "${role}"`);

    standby.writeIni({ repl_db_password: password, pg_basebackup: '/nowhere/pg_basebackup' });
    const noProgram = await world.cmdStandby(standby, ['-B']);
    expect(noProgram.code).not.toBe(0);
    expect(noProgram.stderr).toContain('/nowhere/pg_basebackup');

    standby.writeIni({ pg_basebackup: pgBasebackup, basebackup_source: 'standby2' });
    const both = await world.cmdStandby(standby, ['-B']);
    expectExit(both, 3);
    expect(both.stderr).toContain('basebackup_source');
    expect(existsSync(standby.pgdata)).toBe(false);
  });

  test('keeps the existing copy unchanged if it is killed or stopped, and the next run succeeds', async ({
    world,
  }) => {
    const { primary, standby } = await pair(world);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    standby.writeIni({ basebackup_bwlimit: 3000, rsync_threads: 2 });
    const first = world.startStandby(standby, ['-B']);
    await eventually(() => received(standby));
    first.signal('SIGKILL');
    await first.finished;
    await eventually(async () => (await senders(primary)) === '0', { what: 'the backup to be over' });
    standby.writeIni({ basebackup_bwlimit: 0 });
    const good = await world.cmdStandby(standby, ['-B']);
    expectExit(good, 0);
    expect(good.stderr).toContain('rsync_threads');

    const control = readFileSync(inPgdata(standby, 'global', 'pg_control'));
    standby.writeIni({ basebackup_bwlimit: 3000 });
    const archiveCommand = await primary.value('SHOW archive_command');
    const second = world.startStandby(standby, ['-B']);
    await eventually(() => received(standby));
    second.signal('SIGTERM');
    const stopped = await second.finished;
    expectExit(stopped, 6);
    expect(received(standby)).toBe(false);
    expect(readFileSync(inPgdata(standby, 'global', 'pg_control'))).toEqual(control);
    await eventually(async () => (await senders(primary)) === '0', { what: 'the backup to be over' });

    primary.configure({ archive_command: '/bin/false' });
    standby.writeIni({ wal_timeout: 5 });
    const third = world.startStandby(standby, ['-B']);
    await eventually(() => received(standby));
    await primary.reload();
    const unarchived = await third.finished;
    expectExit(unarchived, 1);
    expect(unarchived.stderr).toContain('the primary has not archived the WAL of the backup within 5 s');
    expect(readFileSync(inPgdata(standby, 'global', 'pg_control'))).toEqual(control);
    primary.configure({ archive_command: archiveCommand });
    await primary.reload();
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await expectReplayOf(primary, standby);

    // A server that comes up while the files are received is not overwritten.
    expectExit(await world.cmdStandby(standby, ['-Astop']), 0);
    standby.writeIni({ basebackup_bwlimit: 3000, wal_timeout: 20 });
    const fourth = world.startStandby(standby, ['-B']);
    await eventually(() => received(standby));
    await standby.start();
    const refused = await fourth.finished;
    expectExit(refused, 4);
    expect(refused.stderr).toContain('PostgreSQL runs here');
    await expectReplayOf(primary, standby);
  });

  test.skipIf(!hasSmallDisks())(
    'removes the old copy first if the disk has no space for two, and fails if the disk becomes full',
    async ({ world }) => {
      const disk = await smallDisk();
      world.onClose(() => {
        disk.release();
      });
      const { primary, standby } = await pair(world, {
        pgdata: join(disk.directory, 'main'),
        walSegmentMb: 1,
      });
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      const control = readFileSync(inPgdata(standby, 'global', 'pg_control'));
      disk.fill(8 * 1024 * 1024);
      const plan = await world.cmdStandby(standby, ['-B', '--dry-run']);
      expectExit(plan, 0);
      expect(plan.stdout).toContain('there is no room for two');
      expect(readFileSync(inPgdata(standby, 'global', 'pg_control'))).toEqual(control);
      standby.writeIni({ basebackup_bwlimit: 3000 });
      const killed = world.startStandby(standby, ['-B']);
      await eventually(() => received(standby));
      killed.signal('SIGKILL');
      await killed.finished;
      const start = await world.cmdStandby(standby, ['-S']);
      expectExit(start, 4);
      expect(start.stderr).toContain('is incomplete');

      standby.writeIni({ basebackup_bwlimit: 0 });
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      await expectReplayOf(primary, standby);
      expectExit(await world.cmdStandby(standby, ['-Astop']), 0);

      await primary.sql(
        'CREATE TABLE large AS SELECT repeat(md5(n::text), 60) AS t FROM generate_series(1, 30000) n',
      );
      const refused = await world.cmdStandby(standby, ['-B']);
      expectExit(refused, 4);
      expect(refused.stderr).toMatch(/has .* MB free, and .* MB are needed/);
      const before = readFileSync(inPgdata(standby, 'global', 'pg_control'));
      const forced = await world.cmdStandby(standby, ['-B', '--force']);
      expectExit(forced, 1);
      expect(forced.stderr).toContain('No space left on device');
      expect(received(standby)).toBe(false);
      expect(await senders(primary)).toBe('0');
      expect(readFileSync(inPgdata(standby, 'global', 'pg_control'))).toEqual(before);
    },
  );
});

describe.each(testMajors().filter((major) => major > clientMajor))(
  'a base backup by pg_basebackup of PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('is refused if the program is older than the server', async ({ world }) => {
      const { standby } = await pair(world);
      const run = await world.cmdStandby(standby, ['-B']);
      expectExit(run, 4);
      expect(run.stderr).toContain(`is of PostgreSQL ${clientMajor}, and the primary of ${major}`);
    });
  },
);
