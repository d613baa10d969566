import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { debianMajor, failureMajors, newestMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { allShipped, type BackupPair, backupPair, type BackupPairOptions, snapshot } from './backup-kit.ts';
import {
  archiveOf,
  drill,
  drillDirectory,
  drillKeys,
  expectNothingLeft,
  settingsOf,
  writeSql,
} from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

const fromBackup = '--from-backup';

/** A cold standby, and a directory for drills. */
async function makeBackupPair(world: World, options: BackupPairOptions = {}): Promise<BackupPair> {
  const pair = await backupPair(world, { ...options, ini: { ...drillKeys(world), ...options.ini } });
  for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(pair.standby, [action]), 0);
  await pair.primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  return pair;
}

/** What the primary keeps of a backup or for a standby. */
async function tracesOn(primary: Primary): Promise<string> {
  return primary.value(
    `SELECT (SELECT count(*) FROM pg_replication_slots) || ' slots, '
         || (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%_backup%') || ' sessions'`,
  );
}

/** All that -B would write in archivedir beside WAL. */
function ownFiles({ archiveDir }: Standby): Record<string, string> {
  const names = readdirSync(archiveDir).filter((name) => name.startsWith('.') && name !== '.incoming');
  return Object.fromEntries(
    names
      .filter((name) => !name.startsWith('.cmd_standby.'))
      .map((name) => [
        name,
        lstatSync(join(archiveDir, name)).isFile()
          ? readFileSync(join(archiveDir, name), 'utf8')
          : 'directory',
      ]),
  );
}

describe.each(failureMajors())('a drill from a new base backup on PostgreSQL %i', (major) => {
  test.override({ major });

  test('recovers it from the archive alone, beside a hot standby that lets go of the WAL, and leaves no trace', async ({
    world,
  }) => {
    const pair = await makeBackupPair(world, {
      ini: { rsync_flags: '--bwlimit=4000' },
      cluster: { slaves: ['standby1'], walSegmentMb: 1 },
    });
    const { primary, standby } = pair;
    await archiveRows(pair, 100);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 100);
    await allShipped(primary);
    standby.writeIni({ drill_sql: writeSql(standby, 'SELECT count(*) = 200 FROM rows;\n') });
    const planned = await world.cmdStandby(standby, ['--drill', fromBackup, '--dry-run']);
    expectExit(planned, 0);
    expect(planned.stdout).toMatch(
      /^1\. make a base backup of the primary in .*\/d\/run", as -B would: .* MB/,
    );
    expect(existsSync(drillDirectory(world))).toBe(false);

    const [inForce, postmaster, fed] = [settingsOf(standby), standby.postmaster(), archiveOf(standby)];
    const own = ownFiles(standby);
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(12 * 1024 * 1024));
    const view = join(drillDirectory(world), 'run', 'archive');
    const running = drill(world, standby, 0, fromBackup);
    await eventually(() => existsSync(join(drillDirectory(world), 'run', 'pgdata', 'pitrtools.json')));
    const segment = await archiveRows(pair, 200);
    await eventually(async () => (await countRows(standby)) === 200);
    await archiveRows(pair, 200);
    // Once the standby has replayed it, it may go from the archive: the drill has it then.
    await eventually(
      () => lstatSync(join(view, segment), { throwIfNoEntry: false })?.isSymbolicLink() === false,
    );
    rmSync(join(standby.archiveDir, segment));
    const report = await running;
    expect(report).toMatchObject({ result: 'passed', copy: 'new-base-backup', timeline: 2 });
    expect(report.checks.map(({ name, result }) => [name, result])).toEqual([
      ['drill_sql', 'passed'],
      ['row counts', expect.stringMatching(/passed|not checked/)],
      ['pg_amcheck', 'not checked'],
      ['page checksums', major >= 18 ? 'passed' : 'not checked'],
    ]);
    expect(report.replay?.bytes).toBeGreaterThan(0);
    expectNothingLeft(world);
    expect(await tracesOn(primary)).toBe('0 slots, 0 sessions');
    expect(settingsOf(standby)).toEqual(inForce);
    expect(standby.postmaster()).toBe(postmaster);
    expect(ownFiles(standby)).toEqual(own);
    expect(archiveOf(standby)).toMatchObject(fed);
    expect(standby.host.notifications()).toEqual([]);

    // Each kind has its own words.
    standby.writeIni({ drill_max_age: 3600 });
    const history = await world.cmdStandby(standby, ['--history']);
    expect(history.stdout).toMatch(/drill from a new base backup passed, RTO/);
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toMatch(/last drill from a new base backup +passed at /);
    expect(status.stdout).toMatch(/last drill +none/);
    expect(status.stdout).toContain('no drill has passed here yet');
    const metrics = await world.cmdStandby(standby, ['--status', '--prometheus']);
    expect(metrics.stdout).toMatch(/^pitrtools_backup_drill_passed\b.* 1$/m);
    standby.writeIni({ drill_max_age: undefined });
    expect((await world.cmdStandby(standby, ['--check', 'drill'])).stdout).toContain(
      'the last drill from a new base backup has passed, at ',
    );
  });

  test('is cleared after kill -9, and the primary is in backup mode no more', async ({ world }) => {
    const pair = await makeBackupPair(world, { ini: { rsync_flags: '--bwlimit=500', wal_timeout: 60 } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await allShipped(primary);
    const files = snapshot(standby.pgdata);
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(8 * 1024 * 1024));
    const killed = world.startStandby(standby, ['--drill', fromBackup]);
    await eventually(() => existsSync(join(drillDirectory(world), 'run', 'pgdata', 'pitrtools.json')));
    killed.signal('SIGKILL');
    await killed.finished;
    await eventually(async () => (await tracesOn(primary)) === '0 slots, 0 sessions');
    rmSync(join(primary.pgdata, 'aaa-bulk'));
    standby.writeIni({ rsync_flags: undefined });
    expect(await drill(world, standby, 0, fromBackup)).toMatchObject({ result: 'passed' });
    expectNothingLeft(world);
    expect(snapshot(standby.pgdata)).toEqual(files);
  });

  test('fails where no WAL arrives, and is refused without the primary', async ({ world }) => {
    const pair = await makeBackupPair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await allShipped(primary);
    const files = snapshot(standby.pgdata);
    // It is not asked to resume.
    expectExit(await world.cmdArchiver(primary, ['--abandon', 'standby1']), 0);
    standby.writeIni({ wal_timeout: 3 });
    const own = ownFiles(standby);
    const failed = await world.cmdStandby(standby, ['--drill', fromBackup]);
    expectExit(failed, 1);
    expect(failed.stderr).toMatch(
      new RegExp(
        `the drill has failed: segment [0-9A-F]{24} did not arrive in "${standby.archiveDir}" within 3 s`,
      ),
    );
    expect(failed.stderr).toContain('a new base backup (-B) may fail in the same way');
    const said = failed.stderr.split('\n').filter((line) => !line.startsWith('DEBUG: '));
    expect(said.join('\n')).not.toContain(join(drillDirectory(world), 'run'));
    expectNothingLeft(world);
    expect(ownFiles(standby)).toEqual(own);
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toContain('the last drill from a new base backup has failed: segment');

    await primary.stop('immediate');
    const refused = await world.cmdStandby(standby, ['--drill', fromBackup]);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('a drill from a new base backup needs the primary');
    expect(refused.stderr).toContain('--drill alone rehearses the failover');
    expectNothingLeft(world);
    expect(snapshot(standby.pgdata)).toEqual(files);
    expect(standby.host.notifications().map(({ severity }) => severity)).toEqual(['critical']);
  });
});

describe.each(newestMajors())('the limits of a drill from a new base backup on PostgreSQL %i', (major) => {
  test.override({ major });

  test('drill_limit ends it where the copy grows beyond what was announced, and nothing is left', async ({
    world,
  }) => {
    const pair = await makeBackupPair(world, {
      cluster: { slaves: ['standby1'], walSegmentMb: 1 },
      ini: { rsync_flags: '--bwlimit=8000 --no-compress' },
    });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await allShipped(primary);
    const [files, own] = [snapshot(standby.pgdata), ownFiles(standby)];
    // It is in no database, so that it is not announced.
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(400 * 1024 * 1024));
    standby.writeIni({ drill_limit: '100MB' });
    const planned = await world.cmdStandby(standby, ['--drill', fromBackup, '--dry-run']);
    expectExit(planned, 0);
    const report = await drill(world, standby, 1, fromBackup);
    expect(report.failure?.message).toMatch(
      /^the drill gave up: the copy takes 1\d\d MB, and drill_limit is 100 MB$/,
    );
    expect(report.phases.map(({ name }) => name)).toEqual(['copy']);
    expectNothingLeft(world);
    await eventually(async () => (await tracesOn(primary)) === '0 slots, 0 sessions');
    expect(snapshot(standby.pgdata)).toEqual(files);
    expect(ownFiles(standby)).toEqual(own);
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toContain(
      'the last drill from a new base backup has failed: the drill gave up: the copy',
    );
    rmSync(join(primary.pgdata, 'aaa-bulk'));
    standby.writeIni({ rsync_flags: undefined });
    expect(await drill(world, standby, 0, fromBackup)).toMatchObject({ result: 'passed' });
    expect(standby.host.notifications().map(({ severity }) => severity)).toEqual(['critical', 'ok']);
  });
});

/** pg_basebackup is Debian's. */
describe('a drill from a new base backup by pg_basebackup', () => {
  test.override({ major: debianMajor() });

  test('reports, and gives way to a real -B', async ({ world }) => {
    const pair = await makeBackupPair(world, { ini: { basebackup_method: 'pg_basebackup' } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const passed = await drill(world, standby, 0, fromBackup, '--target-immediate');
    expect(passed).toMatchObject({ copy: 'new-base-backup', target: 'the end of the base backup' });
    expectNothingLeft(world);

    standby.writeIni({ drill_sql: writeSql(standby, "SELECT pg_sleep(120)::text = '';\n") });
    const held = world.startStandby(standby, ['--drill', fromBackup]);
    await eventually(() => existsSync(join(drillDirectory(world), 'run', 'pgdata', 'backup_label.old')));
    // It takes long enough to be seen.
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(12 * 1024 * 1024));
    standby.writeIni({ basebackup_method: undefined, rsync_flags: '--bwlimit=2000' });
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    const given = await held.finished;
    expectExit(given, 1);
    expect(given.stderr).toMatch(/the drill gave up: an action|is running/);
    expectNothingLeft(world);
    expect(await tracesOn(primary)).toBe('0 slots, 0 sessions');
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 10);
  });
});
