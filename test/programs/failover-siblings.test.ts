import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import { packetSink } from '../harness/network.ts';
import { failureMajors, serverProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { copyBaseBackup, countRows, expectExit, writeSentinelFor } from './standby-kit.ts';

interface Trio {
  readonly primary: Primary;
  /** The one that is promoted; its cmd_archiver.ini names the other one. */
  readonly heir: Standby;
  readonly other: Standby;
  /** Takes an archive away from the primary, as if that host could not be reached. */
  readonly holdBack: (standby: Standby) => void;
  /** A segment more, with rows up to `last`, in the archives that are not held back. */
  readonly archiveRows: (last: number) => Promise<string>;
}

const heldBack = '.held-back';

async function makeTrio(world: World, ofOther: IniKeys = {}, ofHeir: IniKeys = {}): Promise<Trio> {
  const names = ['heir', 'other'];
  const hosts = [await world.host('heir'), await world.host('other')];
  for (const host of hosts) mkdirSync(host.archiveDir, { mode: 0o700 });
  const ship = writeScript(
    await world.host('primary'),
    'ship',
    `for to in ${hosts.map(({ archiveDir }) => `'${archiveDir}'`).join(' ')}; do
  [ -e "$to/${heldBack}" ] && continue
  [ -e "$to/$2" ] || { cp "$1" "$to/.$2" && mv "$to/.$2" "$to/$2"; } || exit 1
done`,
  );
  const primary = await world.startPrimary({ settings: { archive_command: `${ship} %p %f` } });
  await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  const standbys: Standby[] = [];
  for (const name of names) {
    const own = name === 'other' ? ofOther : ofHeir;
    const ini = { failover_probe_timeout: 30, start_timeout: 60, ...own };
    const standby = await world.addStandby(name, primary, { ini });
    writeSentinelFor(standby, primary);
    await copyBaseBackup(primary, standby);
    // Its sentinel then says how it is called.
    expectExit(await world.cmdStandby(standby, ['--cleanup']), 0);
    standbys.push(standby);
  }
  const [heir, other] = standbys as [Standby, Standby];
  await world.asPrimary(heir, ['other']);
  const archiveRows = async (last: number) => {
    await primary.sql('INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, $1::int)', [
      last,
    ]);
    const segment = await primary.switchWal();
    for (const standby of standbys)
      if (!existsSync(join(standby.archiveDir, heldBack))) await standby.received(segment);
    return segment;
  };
  const holdBack = (standby: Standby) => {
    writeFileSync(join(standby.archiveDir, heldBack), '');
  };
  return { primary, heir, other, holdBack, archiveRows };
}

async function startStandbys(world: World, ...standbys: readonly Standby[]): Promise<void> {
  for (const standby of standbys) expectExit(await world.cmdStandby(standby, ['-S']), 0);
}

async function hasRows(standby: Standby, count: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === count, {
    limitMs: 60_000,
    what: `${count} rows on ${standby.name}`,
  });
}

function marksAt(standby: Standby): string[] {
  const text = readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
  return text.split('\n').filter((line) => line.startsWith('left: '));
}

function declaredAt(heir: Standby): string | undefined {
  const path = join(heir.host.directory, 'l_archive', '.archiver', 'left_timelines');
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function forkOf(heir: Standby): string {
  return readFileSync(join(heir.pgdata, 'pg_wal', '00000002.history'), 'utf8').split('\t')[1] ?? '';
}

describe.each(failureMajors())('-F999 with another standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test('on the one that is behind, fetches what only the other has, and informs it of what was left', async ({
    world,
  }) => {
    const { primary, heir, other, holdBack, archiveRows } = await makeTrio(world);
    await startStandbys(world, heir, other);
    await archiveRows(100);
    await hasRows(heir, 100);
    holdBack(heir);
    const missing = [await archiveRows(200), await archiveRows(300), await archiveRows(400)];
    await hasRows(other, 400);
    await primary.kill9();

    const plan = await world.cmdStandby(heir, ['-F999', '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(
      /^May be lost: WAL that the old primary wrote after LSN [0-9A-F/]+; how much/m,
    );
    expect(plan.stdout).toContain(
      `1. fetch WAL that only other standbys have: 3 segments, ${missing[0] ?? ''} to ${missing[2] ?? ''}, from other\n`,
    );
    expect(heir.archive()).not.toContain(missing[0]);

    const run = await world.cmdStandby(heir, ['-F999']);
    expectExit(run, 0);
    expect(await countRows(heir)).toBe(400);
    expect(heir.archive()).toEqual(expect.arrayContaining(missing));
    for (const name of missing) expect(heir.archivedBytes(name).equals(other.archivedBytes(name))).toBe(true);
    expect(existsSync(join(heir.archiveDir, '.fetching'))).toBe(false);

    const fork = forkOf(heir);
    expect(declaredAt(heir)).toMatch(new RegExp(`^1 ${fork} \\S+\n$`));
    expect(marksAt(other)).toEqual([expect.stringMatching(new RegExp(`^left: 1 ${fork} `))]);
    expect(run.stdout).toContain(`timeline 1 was left at LSN ${fork}\n`);
    expect(run.stdout).toContain('Standby other was informed: it has not replayed past the fork');
    expect(run.stdout).toContain(`  - on other: cmd_standby -C ${other.iniFile} --follow `);
  });
});

describe('-F999 with another standby', () => {
  test('that has streamed further refuses, and is reported to be lost for this timeline if forced', async ({
    world,
  }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world, { use_streaming_replication: 'on' });
    await startStandbys(world, heir, other);
    await archiveRows(100);
    await hasRows(heir, 100);
    await primary.sql('INSERT INTO rows SELECT generate_series(101, 150)');
    await hasRows(other, 150);
    await primary.kill9();

    const refused = await world.cmdStandby(heir, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toMatch(
      /standby other has come further: it has WAL up to LSN [0-9A-F/]+, and this host can replay to [0-9A-F/]+; nothing was changed/,
    );
    expect(refused.stderr).toContain('-F999 on other loses less. --force=sibling-ahead continues');
    expect(await heir.inRecovery()).toBe(true);
    expect(marksAt(other)).toEqual([]);

    const forced = await world.cmdStandby(heir, ['-F999', '--force=sibling-ahead']);
    expectExit(forced, 0);
    expect(await countRows(heir)).toBe(100);
    expect(forced.stdout).toMatch(
      /^Lost: [1-9]\d* bytes of WAL after LSN [0-9A-F/]+, which standby other has/m,
    );
    expect(forced.stdout).toContain('Standby other was informed: it has replayed WAL past the fork');
    expect(forced.stdout).toContain(`cmd_standby -C ${other.iniFile} -A stop, -B and -S\n`);
    expect(marksAt(other)).toHaveLength(1);
  });

  test('that is silent continues, and says so', async ({ world }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world, {}, { failover_probe_timeout: 4 });
    await startStandbys(world, heir);
    await archiveRows(100);
    await hasRows(heir, 100);
    await primary.kill9();
    const sink = await packetSink({ address: other.host.address });
    world.onClose(() => sink.close());
    heir.host.routeTo(other.host, sink);

    const run = await world.cmdStandby(heir, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toMatch(/standby other did not answer \(.*\): how far it has come is unknown/);
    expect(run.stdout).toMatch(
      /^Standby other was not informed .*: the next hello of this host's cmd_archiver informs it$/m,
    );
    expect(run.stdout).toContain('Not asked, and perhaps further: other');
    expect(await countRows(heir)).toBe(100);
    expect(declaredAt(heir)).toMatch(/^1 /);
    expect(marksAt(other)).toEqual([]);
  });

  test('informs it of nothing beside a living primary, unless it takes the role', async ({ world }) => {
    const { heir, other, archiveRows } = await makeTrio(world);
    await archiveRows(100);
    const opened = await world.cmdStandby(heir, ['-F999', '--target-immediate', '--force']);
    expectExit(opened, 0);
    expect(opened.stdout).toContain(
      "This server has not taken the old primary's role, because the server was opened at a recovery target",
    );
    expect(marksAt(other)).toEqual([]);
    expect(declaredAt(heir)).toBeUndefined();

    await world.asPrimary(other, ['heir']);
    expectExit(await world.cmdStandby(other, ['-S']), 0);
    await hasRows(other, 100);
    const forced = await world.cmdStandby(other, ['-F999', '--force=primary-alive', '--take-role']);
    expectExit(forced, 0);
    expect(forced.stderr).toContain('heir was promoted, at timeline 2');
    expect(declaredAt(other)).toMatch(/^1 /);
    expect(marksAt(heir)).toHaveLength(1);
  });

  test('killed after the promotion, the next run informs it', async ({ world }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world);
    await startStandbys(world, heir);
    await archiveRows(100);
    await primary.kill9();
    const trace = join(heir.host.directory, 'promoted');
    const waits = writeScript(
      heir.host,
      'promote',
      `'${serverProgram(world.major, 'pg_ctl')}' promote -D '${heir.pgdata}' -w; touch '${trace}'; sleep 60`,
    );
    heir.writeIni({ promote_command: waits });
    const first = world.startStandby(heir, ['-F999']);
    await eventually(() => existsSync(trace), { limitMs: 60_000 });
    first.killFamily();
    await first.finished;
    expect(marksAt(other)).toEqual([]);

    const second = await world.cmdStandby(heir, ['-F999']);
    expectExit(second, 0);
    expect(second.stdout).toContain('Standby other was informed: ');
    expect(marksAt(other)).toHaveLength(1);
    expect(declaredAt(heir)).toMatch(/^1 /);
  });

  test('says that nobody else was asked where no INI file names anybody', async ({ world }) => {
    const { primary, heir, other, archiveRows } = await makeTrio(world);
    heir.writeIni({ archiver_ini: join(heir.host.directory, 'etc', 'nothing.ini') });
    await startStandbys(world, heir);
    await archiveRows(100);
    await primary.kill9();
    const run = await world.cmdStandby(heir, ['-F999']);
    expectExit(run, 0);
    expect(run.stderr).toMatch(
      /NOTICE: no other standby is asked or informed: this host has no ".*nothing.ini".*set archiver_ini:/,
    );
    expect(run.stdout).toContain('  - other standbys: on each, cmd_standby -C FILE --follow ');
    expect(marksAt(other)).toEqual([]);
  });
});
