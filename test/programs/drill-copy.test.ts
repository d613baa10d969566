import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { debianMajor, failureMajors, newestMajors } from '../harness/postgres-programs.ts';
import { settingLines } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair, flipBit, snapshot } from './backup-kit.ts';
import {
  archiveOf,
  drill,
  drillDirectory,
  expectNothingLeft,
  makeDrillPair,
  settingsOf,
  writeSql,
} from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

const spaces = ['plain', 'linked', 'inside'];

function keys(world: World) {
  // On a busy machine a test must not wait until nobody else needs the processor.
  return { drill_dir: drillDirectory(world), drill_reserve: '1MB', drill_nice: 0, drill_ionice: 'off' };
}

/** On the copy: each table has its rows, in a file of the drill. */
function statementsFor(world: World): string {
  const copy = join(drillDirectory(world), 'run');
  const rows = spaces.map((name) => `SELECT count(*) = 5000 FROM "in ${name}";\n`).join('');
  return `${rows}SELECT bool_and(pg_tablespace_location(oid) LIKE '${copy}/%') FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global');\n`;
}

/** A cold standby with three tablespaces, one of them behind a link and one inside pgdata, and a linked pg_wal. */
async function makeSpread(world: World) {
  const { directory } = await world.host('standby1');
  const pair = await backupPair(world, {
    ini: { ...keys(world), drill_sql: join(directory, 'drill.sql') },
  });
  const { primary, standby } = pair;
  writeSql(standby, statementsFor(world));
  const here = join(standby.host.directory, 'spaces');
  const places = [];
  for (const name of spaces) {
    const location = join(name === 'inside' ? primary.pgdata : primary.host.directory, `space ${name}`);
    mkdirSync(location);
    await primary.sql(`CREATE TABLESPACE "${name}" LOCATION '${location}'`);
    await primary.sql(
      `CREATE TABLE "in ${name}" TABLESPACE "${name}" AS SELECT generate_series(1, 5000) AS n`,
    );
    if (name !== 'inside') places.push(`${location} = ${join(here, name)}\n`);
  }
  mkdirSync(join(here, 'itself'), { recursive: true });
  symlinkSync(join(here, 'itself'), join(here, 'linked'));
  appendFileSync(standby.iniFile, `\n[tablespaces]\n${places.join('')}`);
  for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);
  const wal = join(standby.host.directory, 'wal');
  cpSync(join(standby.pgdata, 'pg_wal'), wal, { recursive: true });
  rmSync(join(standby.pgdata, 'pg_wal'), { recursive: true });
  symlinkSync(wal, join(standby.pgdata, 'pg_wal'));
  return { ...pair, everything: () => [standby.pgdata, here, wal].map(snapshot) };
}

describe.each(failureMajors())(
  'a drill of a standby with directories elsewhere on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('copies tablespaces and a linked pg_wal of a cold one, and has its own from a new base backup', async ({
      world,
    }) => {
      const { standby, everything } = await makeSpread(world);
      const files = everything();
      expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'stopped' });
      expect(await drill(world, standby, 0, '--from-backup')).toMatchObject({ result: 'passed' });
      expect(everything()).toEqual(files);
      expectNothingLeft(world);
    });

    test('copies them of a hot and of a warm one', async ({ world }) => {
      const { primary, standby } = await makeSpread(world);
      await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
      await archiveRows({ primary, standby }, 10);
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      await eventually(async () => (await countRows(standby).catch(() => 0)) === 10);
      expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'backup' });
      expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
      appendFileSync(
        join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'),
        'hot_standby = off\n',
      );
      const ini = readFileSync(standby.iniFile, 'utf8');
      writeFileSync(standby.iniFile, ini.replace('[DEFAULT]\n', '[DEFAULT]\ndrill_may_stop: on\n'));
      expectExit(await world.cmdStandby(standby, ['-S']), 0);
      expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'stopped-for-it' });
      expect(standby.isRunning()).toBe(true);
      expectNothingLeft(world);
      expect(standby.host.notifications()).toEqual([]);
    });
  },
);

describe.each(newestMajors())('a drill by a snapshot of directories elsewhere on PostgreSQL %i', (major) => {
  test.override({ major });

  test('has the tablespace inside pgdata for itself, and refuses a link to the files of a database', async ({
    world,
  }) => {
    const { standby, everything } = await makeSpread(world);
    const place = `'${join(drillDirectory(world), 'run')}'/$PITRTOOLS_SNAPSHOT`;
    const command = writeScript(
      standby.host,
      'drill-snapshot',
      `[ "$1" = create ] || { rm -rf ${place}; exit; }
number=0
printf '%s\\n' "$PITRTOOLS_DIRECTORIES" | while IFS= read -r directory; do
  number=$((number + 1))
  mkdir -p -m 0700 ${place}/$number && cp -a "$directory/." ${place}/$number || exit 3
  echo "mount: $directory="${place}/$number
done && echo 'snapshot: atomic'`,
    );
    const ini = readFileSync(standby.iniFile, 'utf8');
    writeFileSync(standby.iniFile, ini.replace('[DEFAULT]\n', `[DEFAULT]\ndrill_snapshot: ${command}\n`));
    const files = everything();
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'snapshot' });
    // What was replayed is on the disk by now: another drill begins without the map of a base backup.
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    expect(everything()).not.toEqual(files);
    const recovered = everything();
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'snapshot' });
    expect(everything()).toEqual(recovered);

    const [database = ''] = readdirSync(join(standby.pgdata, 'base')).filter((name) => name !== '1');
    const elsewhere = join(standby.host.directory, 'elsewhere');
    renameSync(join(standby.pgdata, 'base', database), elsewhere);
    symlinkSync(elsewhere, join(standby.pgdata, 'base', database));
    const { failure } = await drill(world, standby, 1);
    expect(failure?.message).toMatch(/base\/\d+" is a link that leads out of the snapshot$/);
    expectNothingLeft(world);
  });
});

describe.each(newestMajors())('a drill of a standby that could reach others on PostgreSQL %i', (major) => {
  test.override({ major });

  test('moves no slot of a publisher, and leaves the archive byte for byte', async ({ world }) => {
    const archive = join((await world.host('standby1')).directory, 'archive');
    const done = join(world.directory, 'done');
    // Only the server of a drill has such a working directory.
    const onCopy = (name: string) =>
      `case $PWD in */d/run/*) touch ${done}-${name}; rm -f ${archive}/0*;; esac`;
    const reaching = {
      archive_cleanup_command: onCopy('cleanup'),
      recovery_end_command: onCopy('end'),
    };
    // Up to 11 they are settings of recovery.conf, which -S writes.
    const hasParameters = major >= 12;
    const pair = await makeDrillPair(world, {
      ini: keys(world),
      settings: hasParameters ? reaching : {},
      primarySettings: { wal_level: 'logical', max_logical_replication_workers: 0 },
    });
    const { primary, standby } = pair;
    await primary.sql('CREATE PUBLICATION of_rows FOR TABLE rows');
    await primary.sql("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
    const conninfo = `host=${primary.socketDirectory} port=${primary.port} user=${primary.user} dbname=postgres`;
    await primary.sql(
      `CREATE SUBSCRIPTION sub CONNECTION '${conninfo}' PUBLICATION of_rows WITH (create_slot = false, enabled = true, copy_data = false)`,
    );
    await archiveRows(pair, 100);
    const slot =
      "SELECT confirmed_flush_lsn::text || ' ' || restart_lsn::text || ' ' || active::text FROM pg_replication_slots";
    const before = await primary.value(slot);
    standby.writeIni({
      drill_sql: writeSql(
        standby,
        [
          'SELECT subenabled FROM pg_subscription;',
          "SELECT pg_sleep(3)::text = '';",
          'SELECT NOT EXISTS (SELECT FROM pg_stat_subscription WHERE pid IS NOT NULL);',
          ...(hasParameters
            ? [
                "SELECT current_setting('archive_cleanup_command') || current_setting('recovery_end_command') = '';",
              ]
            : []),
          '',
        ].join('\n'),
      ),
    });
    const cold = archiveOf(standby);
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'stopped' });
    expect(archiveOf(standby)).toEqual(cold);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 100);
    if (!hasParameters) appendFileSync(join(standby.pgdata, 'recovery.conf'), settingLines({ ...reaching }));
    const [hot, inForce] = [archiveOf(standby), settingsOf(standby)];
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'backup' });
    expect(archiveOf(standby)).toEqual(hot);
    expect(settingsOf(standby)).toEqual(inForce);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const stopped = archiveOf(standby);
    expect(await drill(world, standby, 0)).toMatchObject({ result: 'passed', copy: 'stopped' });
    expect(archiveOf(standby)).toEqual(stopped);
    expect(await primary.value(slot)).toBe(before);
    expect(readdirSync(world.directory).filter((name) => name.startsWith('done'))).toEqual([]);
    expectNothingLeft(world);
  });
});

/** Debian's package brings pg_amcheck, and the server of these tests its extension. */
describe('a drill with --deep on PostgreSQL 15', () => {
  test.override({ major: 15 });

  test('passes, and finds a damaged index', async ({ world }) => {
    const pair = await makeDrillPair(world, { ini: keys(world), checksums: false });
    const { primary, standby } = pair;
    await primary.sql('INSERT INTO rows SELECT generate_series(1, 2000)');
    await primary.sql('CHECKPOINT');
    for (const last of [2010, 2020]) await archiveRows(pair, last);
    const sound = await drill(world, standby, 0, '--deep');
    expect(sound.checks).toContainEqual({
      name: 'pg_amcheck',
      result: 'passed',
      detail: 'no fault in any database',
    });
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 2020);
    expectExit(await world.cmdStandby(standby, ['-A', 'stop']), 0);
    const path = await primary.value("SELECT pg_relation_filepath('rows_pkey')");
    // The key of the first entry of a leaf page: 16 bytes at its end are not of an entry.
    flipBit(join(standby.pgdata, path), 1, 8168);
    const damaged = await drill(world, standby, 1, '--deep');
    expect(damaged.failure?.message).toMatch(/^pg_amcheck: .*rows_pkey/);
    const shallow = await drill(world, standby, 0);
    expect(shallow.checks).toContainEqual({
      name: 'pg_amcheck',
      result: 'not checked',
      detail: 'only with --deep',
    });
    expectNothingLeft(world);
  });
});

const withoutAmcheck = newestMajors().filter((major) => major !== debianMajor());

describe.each(withoutAmcheck)('a drill with --deep on PostgreSQL %i', (major) => {
  test.override({ major });

  test('says that it has no pg_amcheck', async ({ world }) => {
    const { standby } = await makeDrillPair(world, { ini: keys(world) });
    const { checks } = await drill(world, standby, 0, '--deep');
    expect(checks).toContainEqual({
      name: 'pg_amcheck',
      result: 'not checked',
      detail: major >= 14 ? 'there is no program pg_amcheck here' : `PostgreSQL ${major} has no pg_amcheck`,
    });
  });
});
