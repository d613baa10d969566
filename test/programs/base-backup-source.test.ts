import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors, wideMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { flipBit, inPgdata, installHelpers, isCopying } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const megabyte = 1024 * 1024;

interface Trio {
  readonly primary: Primary;
  /** Runs, and follows the primary by streaming. */
  readonly source: Standby;
  /** Is to be copied from it. */
  readonly standby: Standby;
}

async function makeTablespace(primary: Primary): Promise<string> {
  const location = join(primary.host.directory, 'space');
  mkdirSync(location);
  await primary.sql(`CREATE TABLESPACE fast LOCATION '${location}'`);
  await primary.sql('CREATE TABLE placed TABLESPACE fast AS SELECT generate_series(1, 5000) AS n');
  return location;
}

function sendTablespace(standby: Standby, location: string): void {
  const here = join(standby.host.directory, 'space');
  appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${here}\n`);
}

/** A primary, a running standby of it with a tablespace elsewhere, and the place of another standby. */
async function trio(here: World, checksums = false): Promise<Trio> {
  const primary = await here.startPrimary({ slaves: ['standby1', 'standby2'], checksums });
  const ini = { wal_timeout: 20, start_timeout: 30, failover_probe_timeout: 2 };
  const source = await here.addStandby('standby1', primary, {
    ini: { ...ini, use_streaming_replication: 'on' },
  });
  const standby = await here.addStandby('standby2', primary, {
    ini: { ...ini, basebackup_source: source.host.address, basebackup_source_port: source.port },
  });
  expectExit(await here.cmdArchiver(primary, ['-I']), 0);
  await installHelpers(primary);
  const location = await makeTablespace(primary);
  for (const server of [source, standby]) sendTablespace(server, location);
  for (const action of ['-I', '-B', '-S']) expectExit(await here.cmdStandby(source, [action]), 0);
  expectExit(await here.cmdStandby(standby, ['-I']), 0);
  await primary.sql('CREATE TABLE rows (n int)');
  await eventually(async () => (await source.value("SELECT to_regclass('rows')")) === 'rows');
  return { primary, source, standby };
}

/** Writes until it is stopped; returns how many rows there are then. */
function writeOn(primary: Primary): { stop: () => Promise<number> } {
  const wish = new AbortController();
  let count = 0;
  const work = (async () => {
    while (!wish.signal.aborted) {
      await primary.sql('INSERT INTO rows SELECT generate_series(1, 100)');
      count += 100;
    }
  })();
  return {
    stop: async () => {
      wish.abort();
      await work;
      return count;
    },
  };
}

async function sessionsOfOurs(primary: Primary): Promise<string> {
  return primary.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pitrtools%'");
}

describe.each(wideMajors())('a base backup from another standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test('reads every file from that standby while clients write to the primary', async ({ world }) => {
    const { primary, source, standby } = await trio(world);
    writeFileSync(join(primary.pgdata, 'of-the-primary'), '');
    writeFileSync(inPgdata(source, 'of-the-source'), '');
    await primary.sql("ALTER SYSTEM SET work_mem = '5MB'");
    const writing = writeOn(primary);
    const backup = await world.cmdStandby(standby, ['-B']);
    const count = await writing.stop();
    expectExit(backup, 0);
    expect(backup.stdout).toContain(`read from the standby ${source.host.address}`);
    expect(existsSync(inPgdata(standby, 'of-the-source'))).toBe(true);
    expect(existsSync(inPgdata(standby, 'of-the-primary'))).toBe(false);
    const rsyncs = backup.stderr.split('\n').filter((line) => line.includes('--files-from='));
    expect(rsyncs.length).toBeGreaterThan(0);
    expect(rsyncs.filter((line) => !line.includes(`@${source.host.address}:`))).toEqual([]);
    const settings = readFileSync(inPgdata(standby, 'postgresql.auto.conf'), 'utf8');
    expect(settings).toContain("work_mem = '5MB'");
    expect(settings).not.toContain('primary_conninfo');
    for (const name of ['standby.signal', 'recovery.conf', 'postmaster.pid', 'pitrtools-restore-trouble'])
      expect(existsSync(inPgdata(standby, name))).toBe(false);

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM rows')) === String(count));
    expect(await standby.value('SELECT count(*) FROM placed')).toBe('5000');
    await primary.stop();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    await standby.sql('INSERT INTO rows VALUES (1)');
    expect(await standby.value('SELECT count(*) FROM rows')).toBe(String(count + 1));
  });
});

describe.each(failureMajors())('a base backup from another standby on PostgreSQL %i that fails', (major) => {
  test.override({ major });

  test('--verify asks the standby that the files came from, whatever the primary contains', async ({
    world,
  }) => {
    const { primary, source, standby } = await trio(world, true);
    const path = await primary.value("SELECT pg_relation_filepath('placed')");
    const address = source.host.address;
    flipBit(inPgdata(source, path), 7);
    const damaged = await world.cmdStandby(standby, ['-B', '--verify']);
    expectExit(damaged, 1);
    expect(damaged.stdout).toContain('Base backup finished successfully');
    expect(damaged.stderr).toContain(`${path}, block 7: damaged on ${address}, too`);
    expect(damaged.stderr).toContain('without basebackup_source:');

    flipBit(inPgdata(source, path), 7);
    expectExit(await world.cmdStandby(standby, ['-B', '--verify']), 0);
    flipBit(inPgdata(standby, path), 9);
    const alone = await world.cmdStandby(standby, ['--verify']);
    expectExit(alone, 1);
    expect(alone.stderr).toContain(`${path}, block 9: damaged in the copy; ${address}'s page is good`);
  });

  test('refuses a source that is unreadable, down, paused, behind, promoted, or of another cluster', async ({
    world,
  }) => {
    const { primary, source, standby } = await trio(world);
    writeFileSync(inPgdata(source, 'secret'), '', { mode: 0 });
    const unreadable = await world.cmdStandby(standby, ['-B']);
    expectExit(unreadable, 4);
    expect(unreadable.stderr).toContain(`1 files on ${source.host.address} cannot be read`);
    rmSync(inPgdata(source, 'secret'));
    await source.sql('SELECT pg_wal_replay_pause()');
    const paused = await world.cmdStandby(standby, ['-B']);
    expectExit(paused, 4);
    expect(paused.stderr).toContain(`replay is paused on ${source.host.address}`);
    await source.sql('SELECT pg_wal_replay_resume()');

    if (major >= 12) {
      await source.sql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
      await source.reload();
      await eventually(async () => (await source.value('SHOW recovery_min_apply_delay')) === '1h');
      // Only commits are delayed.
      await primary.sql('INSERT INTO rows VALUES (1)');
      standby.writeIni({ wal_timeout: 5 });
      sendTablespace(standby, join(primary.host.directory, 'space'));
      const behind = await world.cmdStandby(standby, ['-B']);
      expectExit(behind, 1);
      expect(behind.stderr).toMatch(/did not replay the start of the backup within 5 s/);
      expect(behind.stderr).toMatch(/the backup began at 0\/[0-9A-F]+; .* has replayed to 0\/[0-9A-F]+/);
      expect(await sessionsOfOurs(primary)).toBe('0');
    }

    const other = await world.startPrimary({ name: 'other' });
    await installHelpers(other);
    standby.writeIni({ basebackup_source: other.host.address, basebackup_source_port: other.port });
    sendTablespace(standby, join(primary.host.directory, 'space'));
    const foreign = await world.cmdStandby(standby, ['-B']);
    expectExit(foreign, 4);
    expect(foreign.stderr).toContain(`${other.host.address} is of another cluster`);
    expect(foreign.stderr).toContain('is not in recovery');

    standby.writeIni({ basebackup_source: source.host.address, basebackup_source_port: source.port });
    sendTablespace(standby, join(primary.host.directory, 'space'));
    await source.stop('immediate');
    const down = await world.cmdStandby(standby, ['-B']);
    expectExit(down, 1);
    expect(down.stderr).toContain('psql on the standby to copy from');
    await source.host.sshd.kill();
    const gone = await world.cmdStandby(standby, ['-B']);
    expectExit(gone, 1);
    expect(gone.stderr).toContain('cannot reach the standby to copy from');
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);
  });

  test('ends the backup on the primary if the source is promoted or dies during the copy, and the next -B resumes the copy', async ({
    world,
  }) => {
    const { primary, source, standby } = await trio(world);
    writeFileSync(inPgdata(source, 'aaa-bulk'), randomBytes(8 * megabyte));
    standby.writeIni({ rsync_flags: '--bwlimit=2000' });
    sendTablespace(standby, join(primary.host.directory, 'space'));
    const dying = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    await source.host.sshd.kill();
    const died = await dying.finished;
    expectExit(died, 1);
    expect(died.stderr).toContain('no server can start on it until -B has succeeded');
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(false);
    await eventually(async () => (await sessionsOfOurs(primary)) === '0', { what: 'the backup to be over' });

    await source.host.sshd.start();
    const cheated = world.startStandby(standby, ['-B']);
    writeFileSync(inPgdata(source, 'aaa-bulk'), randomBytes(8 * megabyte));
    await eventually(() => cheated.output().includes('--files-from='));
    await source.sql(major >= 12 ? 'SELECT pg_promote()' : "SELECT 'by hand'");
    if (major < 12) writeFileSync(inPgdata(source, 'promote'), '');
    if (major < 12) process.kill(source.postmaster() ?? 0, 'SIGUSR1');
    const promoted = await cheated.finished;
    expectExit(promoted, 1);
    expect(promoted.stderr).toContain('was promoted: its files are no copy');
    expect(await sessionsOfOurs(primary)).toBe('0');

    standby.writeIni({ rsync_flags: '', basebackup_source: undefined });
    sendTablespace(standby, join(primary.host.directory, 'space'));
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
  });
});
