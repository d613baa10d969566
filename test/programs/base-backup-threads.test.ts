import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata, isCopying } from './backup-kit.ts';

const megabyte = 1024 * 1024;

describe.each(failureMajors())('rsync_threads on PostgreSQL %i', (major) => {
  test.override({ major });

  test('-B fails if a worker cannot copy a file (bug of the original: a file that failed in the threaded copy is skipped and the backup says success)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_threads: 3 } });
    await primary.sql('CREATE DATABASE dropped');
    await world.cmdStandby(standby, ['-I']);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    const oid = await primary.value("SELECT oid FROM pg_database WHERE datname = 'dropped'");
    expect(existsSync(inPgdata(standby, 'base', oid))).toBe(true);
    await primary.sql('DROP DATABASE dropped');

    const unreadable = ['1', await primary.value("SELECT oid FROM pg_database WHERE datname = 'postgres'")];
    const files = unreadable.map((database) => join(primary.pgdata, 'base', database, '77777'));
    for (const file of files) {
      writeFileSync(file, randomBytes(megabyte));
      chmodSync(file, 0o000);
    }
    const refused = await world.cmdStandby(standby, ['-B']);
    expect(refused).toMatchObject({ code: 4 });
    for (const file of files) expect(refused.stderr).toContain(file);
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(true);

    for (const file of files) chmodSync(file, 0o600);
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(8 * megabyte));
    standby.writeIni({ rsync_threads: 3, rsync_flags: '--bwlimit=2000' });
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    for (const file of files) chmodSync(file, 0o000);
    const failed = await running.finished;
    expect(failed).toMatchObject({ code: 1 });
    for (const file of files) expect(failed.stderr).toContain(file);
    expect(failed.stderr).toContain('exit status 23');
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);
    standby.writeIni({ rsync_threads: 3, rsync_flags: '' });

    for (const file of files) chmodSync(file, 0o600);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(existsSync(inPgdata(standby, 'base', oid))).toBe(false);
    for (const file of files)
      expect(readFileSync(inPgdata(standby, relative(primary.pgdata, file)))).toEqual(readFileSync(file));
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await primary.sql('CREATE TABLE t AS SELECT 1 AS n');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '1');
  });

  test('two compressions are tried, and one of them compresses the rest', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_threads: 2, debug: 'on' } });
    const lines = Array.from({ length: 500_000 }, (_, line) => `row ${String((line * 7_919) % 99_991)}\n`);
    const bulk = Array.from({ length: 4 }, (_, number) => `bulk-${String(number)}`);
    for (const name of bulk) {
      // As large as a group: each has a group of its own.
      for (let part = 0; part < 20; part += 1) appendFileSync(join(primary.pgdata, name), lines.join(name));
    }
    await world.cmdStandby(standby, ['-I']);
    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup).toMatchObject({ code: 0 });
    const chosen = backup.stderr.match(/--compress-choice=\S+/g) ?? [];
    // Two workers begin at the same time.
    expect(chosen.slice(0, 2).sort()).toEqual(['--compress-choice=lz4', '--compress-choice=zstd']);
    expect(chosen.length).toBeGreaterThanOrEqual(4);
    for (const name of bulk)
      expect(readFileSync(inPgdata(standby, name)).equals(readFileSync(join(primary.pgdata, name)))).toBe(
        true,
      );

    standby.writeIni({ rsync_threads: 2, debug: 'on', basebackup_bwlimit: 1_000_000 });
    const limited = await world.cmdStandby(standby, ['-B']);
    expect(limited).toMatchObject({ code: 0 });
    expect(new Set(limited.stderr.match(/--compress-choice=\S+/g))).toEqual(
      new Set(['--compress-choice=zstd']),
    );
    standby.writeIni({ rsync_threads: 2, debug: 'on', rsync_flags: '-z --compress-choice=zlib' });
    const own = await world.cmdStandby(standby, ['-B']);
    expect(own).toMatchObject({ code: 0 });
    expect(new Set(own.stderr.match(/--compress-choice=\S+/g))).toEqual(new Set(['--compress-choice=zlib']));
  });

  test('a worker connects again if its connection was lost before its work began', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const masters = join(standby.host.directory, 'masters');
    // The first connection asks, the second is opened early for the second worker, the third takes its place.
    const ssh = writeScript(
      standby.host,
      'losing-ssh',
      `case "$*" in
  *ControlMaster=yes*)
    mkdir -p '${masters}'
    if ! mkdir '${masters}/1' 2>/dev/null; then
      if mkdir '${masters}/2' 2>/dev/null; then exit 255; fi
      mkdir '${masters}/3'
    fi
    ;;
esac
exec ${standby.host.ssh} "$@"`,
    );
    await world.cmdStandby(standby, ['-I']);
    standby.writeIni({ ssh, rsync_threads: 2 });
    for (const number of [1, 2, 3])
      writeFileSync(join(primary.pgdata, `bulk${String(number)}`), randomBytes(64 * megabyte));
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(readdirSync(masters).sort()).toEqual(['1', '2', '3']);
  });
});
