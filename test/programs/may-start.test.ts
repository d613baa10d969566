import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import { outerMajors, serverProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { copyBaseBackup, countRows, expectExit } from './standby-kit.ts';

interface Trio {
  readonly primary: Primary;
  readonly heir: Standby;
  readonly other: Standby;
}

async function makeTrio(world: World, ini: IniKeys = {}): Promise<Trio> {
  const primary = await world.startPrimary({
    slaves: ['heir', 'other'],
    ini: { start_probe_timeout: 20, ...ini },
  });
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  await installHelpers(primary);
  await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  const standbys: Standby[] = [];
  for (const name of ['heir', 'other']) {
    const standby = await world.addStandby(name, primary, {
      ini: { failover_probe_timeout: 20, start_timeout: 60 },
    });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    await copyBaseBackup(primary, standby);
    const label = readFileSync(join(standby.pgdata, 'backup_label'), 'utf8');
    await standby.received(/\(file ([0-9A-F]{24})\)/.exec(label)?.[1] ?? '');
    standbys.push(standby);
  }
  const [heir, other] = standbys as [Standby, Standby];
  return { primary, heir, other };
}

async function addRows({ primary, heir, other }: Trio, last: number): Promise<void> {
  await primary.sql('INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, $1::int)', [
    last,
  ]);
  const segment = await primary.switchWal();
  for (const standby of [heir, other]) await standby.received(segment);
}

async function hasRows(standby: Standby, count: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === count, {
    limitMs: 120_000,
    what: `${count} rows on ${standby.name}`,
  });
}

/** As PostgreSQL's service asks. */
function ask(world: World, primary: Primary) {
  return world.cmdArchiver(primary, ['--may-start']);
}

describe.each(outerMajors())('--may-start on PostgreSQL %i', (major) => {
  test.override({ major });

  test('refuses an old primary as soon as one standby knows it, and not the new one', async ({ world }) => {
    const trio = await makeTrio(world);
    const { primary, heir, other } = trio;
    for (const standby of [heir, other]) expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await addRows(trio, 100);
    for (const standby of [heir, other]) await hasRows(standby, 100);
    const next = await world.asPrimary(heir, ['other']);
    await primary.kill9();
    const before = await ask(world, primary);
    expectExit(before, 0);
    expect(before.stdout).toBe('PostgreSQL may start: timeline 1 was not left, as heir and other say\n');

    // A failover that has opened its server and has declared nothing yet.
    const promoted = join(heir.host.directory, 'promoted');
    const waits = writeScript(
      heir.host,
      'promote',
      `'${serverProgram(major, 'pg_ctl')}' promote -D '${heir.pgdata}' -w; touch '${promoted}'; exec sleep 60`,
    );
    heir.writeIni({ promote_command: waits });
    const killed = world.startStandby(heir, ['-F999']);
    await eventually(() => existsSync(promoted), { limitMs: 120_000, what: 'the promotion' });
    const meanwhile = await ask(world, primary);
    expectExit(meanwhile, 4);
    expect(meanwhile.stderr).toContain(
      "heir is taking the primary's role, by a failover that is not finished\n",
    );
    killed.killFamily();
    await killed.finished;
    heir.writeIni({ promote_command: undefined });

    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    const fork = readFileSync(join(heir.pgdata, 'pg_wal', '00000002.history'), 'utf8').split('\t')[1] ?? '';
    const refused = await ask(world, primary);
    expectExit(refused, 4);
    const words = `ERROR: PostgreSQL must not start here: timeline 1 was left at ${fork} by`;
    expect(refused.stderr).toContain(words);
    expect(refused.stderr).toContain(', as standby heir says\n');
    expect(refused.stderr).toContain(
      `--rejoin ${hostname()} on this host (doc/rejoin.md). If that promotion was a mistake`,
    );
    // It may end before its first checkpoint on the new timeline.
    await heir.kill9();
    const again = await ask(world, next);
    expectExit(again, 0);
    expect(again.stdout).toBe('PostgreSQL may start: timeline 2 was not left, as other says\n');

    await heir.host.sshd.kill();
    const byOther = await ask(world, primary);
    expectExit(byOther, 4);
    expect(byOther.stderr).toContain(words);
    expect(byOther.stderr).toContain(', as standby other says\n');
    // Once, although it was asked twice.
    const left = primary.host
      .notifications()
      .filter(({ message }) => message.includes('timeline 1 was left'));
    expect(left).toEqual([
      {
        severity: 'critical',
        message: expect.stringMatching(
          /: PostgreSQL must not start here: .*, as standby heir says\. Make /,
        ) as string,
      },
    ]);

    await other.host.sshd.kill();
    primary.writeIni({ start_probe_timeout: 3 });
    const alone = await ask(world, primary);
    expectExit(alone, 0);
    expect(alone.stderr).toContain('WARNING: no standby could say whether timeline 1 was left');
    expect(primary.host.notifications()).toContainEqual({
      severity: 'critical',
      message: expect.stringMatching(
        /^PostgreSQL starts on .* although no standby could say whether its timeline 1 was left, so there may be two primaries/,
      ) as string,
    });
    primary.writeIni({ start_unseen: 'refuse' });
    const strict = await ask(world, primary);
    expectExit(strict, 4);
    expect(strict.stderr).toContain('(start_unseen: refuse)\n');
    expect(primary.host.notifications().at(-1)?.message).toContain('(start_unseen: refuse). Make one');

    // The operator decides that the old primary is to go on.
    await heir.host.sshd.start();
    await other.host.sshd.start();
    primary.writeIni({ start_probe_timeout: 20 });
    expectExit(await world.cmdArchiver(primary, ['--timeline-restored', '1']), 0);
    const restored = await ask(world, primary);
    expectExit(restored, 0);
    expect(restored.stderr).toContain(
      "heir was promoted, at timeline 2, and has not taken the primary's role",
    );
  });

  test('allows a primary to restart beside a server that was opened at a target, and others follow it', async ({
    world,
  }) => {
    const trio = await makeTrio(world);
    const { primary, heir, other } = trio;
    expectExit(await world.cmdStandby(other, ['-S']), 0);
    await addRows(trio, 100);
    const moment = await primary.value('SELECT clock_timestamp()::text');
    await addRows(trio, 200);
    expectExit(await world.cmdStandby(heir, ['-F999', '-R', moment, '--force']), 0);
    expect(await countRows(heir)).toBe(100);

    await primary.stop();
    const asked = await ask(world, primary);
    expectExit(asked, 0);
    expect(asked.stdout).toBe('PostgreSQL may start: timeline 1 was not left, as heir and other say\n');
    expect(asked.stderr).toContain('heir was promoted, at timeline 2');
    await primary.start();
    await primary.sql('INSERT INTO rows SELECT generate_series(201, 300)');
    await other.received(await primary.switchWal());
    await hasRows(other, 300);
  });
});
