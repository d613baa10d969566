import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { declaredAt, forkOf, hasRows, makeTrio, marksAt, startStandbys } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** A view has little time, and a login takes much of it on a busy machine: this one needs none, since all hosts are here. */
async function viewOfOther(world: World, heir: Standby): Promise<string> {
  const archiver = await world.asPrimary(heir, ['other']);
  archiver.writeIni({
    ssh: writeScript(heir.host, 'no-login', 'while [ "$1" != sh ]; do shift; done; exec "$@"'),
  });
  let view = '';
  await eventually(
    async () => {
      view = (await world.cmdStandby(heir, ['--status'])).stdout;
      return view.includes('most advanced') && !/most advanced .*not known: other/.test(view);
    },
    { what: 'the answer of the other standby in a view', limitMs: 120_000 },
  );
  archiver.writeIni({ ssh: heir.host.ssh });
  return view;
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

    let view = '';
    // On a busy machine a view may end before the other hosts have answered, and says so.
    await eventually(
      async () => {
        view = await viewOfOther(world, heir);
        return /^CRITICAL +a failover here is refused: standby other has come further/m.test(view);
      },
      { what: 'the sibling that has come further in --status' },
    );
    const furthest = /^ {2}most advanced +other, (\S+)$/m.exec(view)?.[1];

    const refused = await world.cmdStandby(heir, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain(`standby other has come further: it has WAL up to LSN ${furthest}, and`);
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
