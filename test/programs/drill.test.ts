import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors, newestMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { flipBit, snapshot } from './backup-kit.ts';
import {
  archiveOf,
  commonPhasesOf,
  drill,
  drillAndFailOver,
  drillDirectory,
  expectNothingLeft,
  makeDrillPair,
  settingsOf,
  writeSql,
} from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

describe.each(failureMajors())('a drill on PostgreSQL %i', (major) => {
  test.override({ major });

  test('of a cold and of a hot standby reports, and leaves both the standby and the archive as they are', async ({
    world,
  }) => {
    const opened = join(world.directory, 'recovery-ended');
    const settings = major >= 12 ? { recovery_end_command: `touch ${opened}` } : {};
    const pair = await makeDrillPair(world, {
      settings,
      // The subscription's worker would run on any promoted copy, but for the parameters of a drill.
      primarySettings: {
        wal_level: 'logical',
        max_logical_replication_workers: 0,
        track_commit_timestamp: true,
      },
    });
    const { primary, standby } = pair;
    await primary.sql('CREATE PUBLICATION of_rows FOR TABLE rows');
    await primary.sql("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
    await primary.sql('CREATE TABLE copies (LIKE rows)');
    const conninfo = `host=${primary.socketDirectory} port=${primary.port} user=${primary.user} dbname=postgres`;
    await primary.sql(
      `CREATE SUBSCRIPTION sub CONNECTION '${conninfo}' PUBLICATION of_rows WITH (create_slot = false, enabled = true, copy_data = false)`,
    );
    const slot =
      "SELECT confirmed_flush_lsn::text || ' ' || active::text FROM pg_replication_slots WHERE slot_name = 'sub'";
    await archiveRows(pair, 100);
    const before = await primary.value(slot);

    const [files, archived] = [snapshot(standby.pgdata), archiveOf(standby)];
    expect(await drill(world, standby, 0, '--target-immediate')).toMatchObject({
      target: 'the end of the base backup',
    });
    const cold = await drill(world, standby, 0);
    expect(cold).toMatchObject({ result: 'passed', copy: 'stopped', timeline: 2 });
    expect(cold.phases.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['copy', 'planning', 'start', 'promotion', 'completion', 'checks']),
    );
    expect(cold.replay?.bytes).toBeGreaterThan(0);
    expect(snapshot(standby.pgdata)).toEqual(files);
    expect(archiveOf(standby)).toEqual(archived);
    expectNothingLeft(world);

    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 100);
    standby.writeIni({
      drill_sql: writeSql(
        standby,
        "SELECT count(*) = 100 FROM rows;\n-- replay goes on meanwhile\nSELECT pg_sleep(4)::text = '';\n",
      ),
    });
    const [inForce, fed] = [settingsOf(standby), archiveOf(standby)];
    const postmaster = standby.postmaster();
    const running = drill(world, standby, 0);
    await eventually(() => existsSync(join(drillDirectory(world), 'run', 'pgdata', 'backup_label.old')));
    await archiveRows(pair, 200);
    await eventually(async () => (await countRows(standby)) === 200);
    expect(existsSync(join(drillDirectory(world), 'run'))).toBe(true);
    const hot = await running;
    expect(hot).toMatchObject({ result: 'passed', copy: 'backup', timeline: 2 });
    expect(hot.checks.map(({ name, result }) => [name, result])).toEqual([
      ['drill_sql', 'passed'],
      ['row counts', expect.stringMatching(/passed/)],
      ['pg_amcheck', 'not checked'],
      ['page checksums', major >= 18 ? 'passed' : 'not checked'],
    ]);
    expect(hot.rpo.primaryLsn).toMatch(/^0\//);
    expect(settingsOf(standby)).toEqual(inForce);
    expect(standby.postmaster()).toBe(postmaster);
    expect(archiveOf(standby)).toMatchObject(fed);
    expect(readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted');
    expect(existsSync(opened)).toBe(false);
    expect(standby.failoverActions()).toBe(0);
    expect(standby.host.notifications()).toEqual([]);
    expect(await primary.value(slot)).toBe(before);
    expectNothingLeft(world);

    const history = await world.cmdStandby(standby, ['--history']);
    expect(history.stdout.match(/drill passed, RTO/g)).toHaveLength(3);
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toMatch(/last drill +passed at /);
    const metrics = await world.cmdStandby(standby, ['--status', '--prometheus']);
    expect(metrics.stdout).toMatch(/^pitrtools_drill_passed\b.* 1$/m);
    // Cold again, so that the failover has all that the drill has.
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    standby.writeIni({ drill_sql: undefined });
    const { drilled, failover } = await drillAndFailOver(world, pair, [201, 202, 203]);
    expect(drilled.copy).toBe('stopped');
    expect(commonPhasesOf(drilled.phases)).toEqual(commonPhasesOf(failover.phases));
    const late = await world.cmdStandby(standby, ['--drill']);
    expectExit(late, 4);
    expect(late.stderr).toContain('is no standby');
  });
});

describe.each(newestMajors())('a drill that fails on PostgreSQL %i', (major) => {
  test.override({ major });

  test('says why, notifies, and leaves nothing', async ({ world }) => {
    const pair = await makeDrillPair(world, { checksums: true });
    const { primary, standby } = pair;
    await primary.sql(
      "CREATE TABLE wide AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 500) AS n",
    );
    await primary.sql('CHECKPOINT');
    const segments: string[] = [];
    for (const last of [10, 20, 30]) segments.push(await archiveRows(pair, last));
    const failing = async (keys: Parameters<typeof standby.writeIni>[0], why: RegExp) => {
      standby.writeIni(keys);
      const report = await drill(world, standby, 1);
      expect(report.failure?.message).toMatch(why);
      expectNothingLeft(world);
      standby.writeIni(Object.fromEntries(Object.keys(keys).map((key) => [key, undefined])));
    };

    await failing({ drill_limit: '1MB' }, /^the copy would take .*, and drill_limit is 1\.0 MB$/);
    await failing(
      { drill_sql: writeSql(standby, 'SELECT 1 = 2;\n') },
      /statement 1, SELECT 1 = 2: it gives false, not true$/,
    );
    // Columns without a name all have the same one.
    await failing(
      { drill_sql: writeSql(standby, 'SELECT 1 = 2, 1 = 1;\n') },
      /statement 1, SELECT 1 = 2, 1 = 1: it gives false, not true$/,
    );
    await failing(
      { drill_sql: writeSql(standby, 'SELECT 1 = 1; SELECT 1 = 2;\n') },
      /statement 1, SELECT 1 = 1; SELECT 1 = 2: it is more than one statement$/,
    );
    await failing(
      { drill_sql: join(standby.host.directory, 'gone.sql') },
      /^drill_sql: ".*gone\.sql" cannot be read: ENOENT/,
    );
    const slow = join(standby.host.directory, 'slow.sql');
    writeFileSync(slow, "SELECT pg_sleep(60)::text = '';\n");
    await failing(
      { drill_sql: slow, drill_time: 8 },
      /^the drill gave up: it has taken 8\.0 s \(drill_time\)$/,
    );

    const middle = join(standby.archiveDir, segments[1] ?? '');
    const whole = readFileSync(middle);
    const broken = Buffer.from(whole);
    broken.fill(0x55, 64, 4096);
    writeFileSync(middle, broken);
    await failing({}, /the WAL is damaged at LSN|cannot be replayed/);
    rmSync(middle);
    await failing({}, /segment \S+ is missing/);
    writeFileSync(middle, whole);

    // The table came after the base backup: a server must have replayed it before its file can be damaged.
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 30);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const path = await primary.value("SELECT pg_relation_filepath('wide')");
    flipBit(join(standby.pgdata, path), 3);
    await failing({}, new RegExp(`page checksums: damaged pages: ${path}, block 3`));
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toContain('the last drill has failed: page checksums');
    flipBit(join(standby.pgdata, path), 3);
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'stopped' });
    const notified = standby.host.notifications();
    expect(notified.map(({ severity }) => severity)).toEqual([...Array<string>(9).fill('critical'), 'ok']);
  });

  test('of a warm standby stops it if it may, and one by drill_snapshot uses what that has made', async ({
    world,
  }) => {
    const pair = await makeDrillPair(world, { settings: { hot_standby: false } });
    const { standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    const refused = await world.cmdStandby(standby, ['--drill']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('answers no queries');
    standby.writeIni({ drill_may_stop: 'on' });
    const stopped = await drill(world, standby, 0);
    expect(stopped).toMatchObject({ copy: 'stopped-for-it', result: 'passed' });
    expect(standby.isRunning()).toBe(true);
    const killed = world.startStandby(standby, ['--drill']);
    await eventually(() => !standby.isRunning());
    killed.signal('SIGKILL');
    await killed.finished;
    await drill(world, standby, 0);
    expect(standby.isRunning()).toBe(true);
    expectNothingLeft(world);

    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const files = snapshot(standby.pgdata);
    const base = join(world.directory, 'snapshots');
    const stuck = join(world.directory, 'stuck');
    const script = (mounted: string) =>
      writeScript(
        standby.host,
        'drill-snapshot',
        `place='${base}'/$PITRTOOLS_SNAPSHOT
case $1 in
  create)
    mkdir -p "$place" && cp -a "$PITRTOOLS_PGDATA" "$place/data" || exit 3
    echo 'snapshot: atomic'
    echo "mount: $PITRTOOLS_PGDATA=${mounted}" ;;
  remove) [ ! -e '${stuck}' ] && rm -rf "$place" ;;
esac`,
      );
    standby.writeIni({ drill_snapshot: script('$place/data') });
    expect(await drill(world, standby, 0)).toMatchObject({ copy: 'snapshot', result: 'passed' });
    expect(readdirSync(base)).toEqual([]);
    writeFileSync(stuck, '');
    for (let count = 0; count < 2; count++)
      expect((await drill(world, standby, 1)).failure?.message).toContain('drill_snapshot remove has failed');
    const said = standby.host.notifications().map(({ severity }) => severity);
    expect(said).toEqual(['critical', 'critical']);
    rmSync(stuck);
    script('$PITRTOOLS_PGDATA');
    expect((await drill(world, standby, 1)).failure?.message).toMatch(/is, or overlaps with, .* itself$/);
    standby.writeIni({ drill_snapshot: 'false' });
    const failed = await world.cmdStandby(standby, ['--drill']);
    expectExit(failed, 1);
    expect(failed.stderr).toContain('drill_snapshot create has failed');
    standby.writeIni({ drill_snapshot: script('$place/data') });
    await drill(world, standby, 0);
    expect(readdirSync(base)).toEqual([]);
    expect(snapshot(standby.pgdata)).toEqual(files);
    expectNothingLeft(world);
  });

  test('gives way to a failover, and is refused beside another one', async ({ world }) => {
    const pair = await makeDrillPair(world, { ini: { failover_probe_timeout: 2 } });
    const { primary, standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    standby.writeIni({ drill_sql: writeSql(standby, "SELECT pg_sleep(60)::text = '';\n") });
    const held = world.startStandby(standby, ['--drill']);
    await eventually(() => existsSync(join(drillDirectory(world), 'run', 'pgdata', 'backup_label.old')));
    const beside = await world.cmdStandby(standby, ['--drill']);
    expectExit(beside, 4);
    expect(beside.stderr).toContain('another drill, or the copy that it began, is still running');
    await primary.stop('immediate');
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    const given = await held.finished;
    expectExit(given, 1);
    expect(given.stderr).toMatch(/the drill gave up: an action|is running/);
    expectNothingLeft(world);
    expect(statSync(drillDirectory(world)).mode & 0o777).toBe(0o700);
  });
});
