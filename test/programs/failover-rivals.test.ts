import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { outerMajors, serverProgram } from '../harness/postgres-programs.ts';
import { run } from '../harness/processes.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { hasRows, makeTrio, marksAt, startStandbys, type Trio } from './siblings-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/**
 * Both standbys run with the same rows, each knows the other one, and the primary is dead. `isBehind`: the heir lacks a
 * segment that the other one has.
 */
async function makeRivals(world: World, isBehind = false): Promise<Trio> {
  const trio = await makeTrio(world);
  await world.asPrimary(trio.other, ['heir']);
  await startStandbys(world, trio.heir, trio.other);
  await trio.archiveRows(100);
  for (const standby of [trio.heir, trio.other]) await hasRows(standby, 100);
  if (isBehind) {
    trio.holdBack(trio.heir);
    await trio.archiveRows(200);
    await hasRows(trio.other, 200);
  }
  await trio.primary.kill9();
  return trio;
}

/** Until the file that is returned exists, a command of this standby's waits. */
function withHeld(world: World, standby: Standby, key: 'promote_command' | 'start_command') {
  const { host, pgdata, log } = standby;
  const [begun, released] = [join(host.directory, `${key}.begun`), join(host.directory, `${key}.released`)];
  const action = key === 'promote_command' ? 'promote' : `start -l '${log}'`;
  const script = writeScript(
    host,
    key,
    `touch '${begun}'; until [ -e '${released}' ]; do sleep 0.1; done
'${serverProgram(world.major, 'pg_ctl')}' ${action} -D '${pgdata}' -w`,
  );
  standby.writeIni({ [key]: script });
  return {
    untilBegun: () => eventually(() => existsSync(begun), { limitMs: 120_000, what: `${key} begun` }),
    release: () => {
      writeFileSync(released, '');
    },
  };
}

/** Until it is released, this standby does not answer the last question of another one. */
function withHeldStatus({ host, archiveDir }: Standby) {
  const [begun, released] = [join(host.directory, 'asked'), join(host.directory, 'released')];
  const sentinel = join(archiveDir, '.pitrtools');
  const text = readFileSync(sentinel, 'utf8');
  const program = /^program: (.*)$/m.exec(text)?.[1] ?? '';
  const script = writeScript(
    host,
    'held-cmd_standby',
    `case "$*" in *'--serve status') touch '${begun}'; until [ -e '${released}' ]; do sleep 0.1; done;; esac
exec '${program}' "$@"`,
  );
  writeFileSync(sentinel, text.replace(`program: ${program}`, `program: ${script}`));
  return {
    untilBegun: () => eventually(() => existsSync(begun), { limitMs: 120_000, what: 'the last question' }),
    release: () => {
      writeFileSync(released, '');
    },
  };
}

describe.each(outerMajors())('-F999 beside a standby that was promoted, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('refuses, also if its server has stopped or this host was only informed of it, unless forced', async ({
    world,
  }) => {
    const { heir, other } = await makeRivals(world);
    expectExit(await world.cmdStandby(other, ['-F999']), 0);
    const running = await world.cmdStandby(heir, ['-F999']);
    expectExit(running, 4);
    expect(running.stderr).toMatch(/standby other is out of recovery, on timeline 2; nothing was changed/);
    expect(running.stderr).toContain('--force=sibling-promoted continues anyway');
    // The -F999 there has informed this host.
    expect(running.stderr).toMatch(/timeline 1 was left at \S+ by .*, and this host has not followed/);
    expect(await heir.inRecovery()).toBe(true);

    await other.kill9();
    const stopped = await world.cmdStandby(heir, ['-F999', '--dry-run']);
    expectExit(stopped, 4);
    expect(stopped.stderr).toContain('standby other was promoted to timeline 2');

    await other.host.sshd.kill();
    const informed = await world.cmdStandby(heir, ['-F999']);
    expectExit(informed, 4);
    expect(informed.stderr).toMatch(/timeline 1 was left at \S+ by .*, and this host has not followed/);
    expect(await heir.inRecovery()).toBe(true);

    const forced = await world.cmdStandby(heir, ['-F999', '--force=sibling-promoted']);
    expectExit(forced, 0);
    expect(forced.stderr).toMatch(/WARNING: timeline 1 was left at .*continuing anyway/);
    expect(await heir.inRecovery()).toBe(false);
  });

  test('succeeds on one of two that begin at the same moment', async ({ world }) => {
    const { heir, other } = await makeRivals(world);
    const runs = await Promise.all([heir, other].map((standby) => world.cmdStandby(standby, ['-F999'])));
    const said = runs.map(({ stdout, stderr }) => `${stdout}${stderr}`).join('\n--\n');
    expect(runs.map(({ code }) => code).sort(), said).toEqual([0, 4]);
    const [first, second] = [await heir.inRecovery(), await other.inRecovery()];
    expect([first, second].sort(), said).toEqual([false, true]);
    expect(first, said).toBe(runs[0]?.code === 4);
    const loser = runs.find(({ code }) => code === 4);
    expect(loser?.stderr).toContain('--force=sibling-promoted');
  });
});

describe('-F999', () => {
  test('refuses while another one promotes a standby, and after that one was killed', async ({ world }) => {
    const { heir, other } = await makeRivals(world);
    const held = withHeld(world, other, 'promote_command');
    const first = world.startStandby(other, ['-F999']);
    await held.untilBegun();
    const refused = await world.cmdStandby(heir, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('standby other is being promoted by another -F999');
    first.killFamily();
    await first.finished;
    // Nobody knows whether the server was asked to open.
    const again = await world.cmdStandby(heir, ['-F999']);
    expectExit(again, 4);
    expect(again.stderr).toContain('standby other is being promoted by another -F999');
    // A start that is no failover ends that.
    expectExit(await world.cmdStandby(other, ['-A', 'stop']), 0);
    held.release();
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    expect(await heir.inRecovery()).toBe(false);
    expect(marksAt(other)).toHaveLength(1);
  });

  test('promotes where another one was killed before it could open its server', async ({ world }) => {
    const { heir, other } = await makeRivals(world);
    const held = withHeldStatus(heir);
    const first = world.startStandby(other, ['-F999']);
    await held.untilBegun();
    const refused = await world.cmdStandby(heir, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('or -A stop there and then -S');
    first.killFamily();
    await first.finished;
    held.release();
    // Its server still runs, and recovers.
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    expect(await heir.inRecovery()).toBe(false);
    expect(await other.inRecovery()).toBe(true);
    expect(marksAt(other)).toHaveLength(1);
  });

  test('asks once more before it promotes', async ({ world }) => {
    const { heir, other } = await makeRivals(world);
    expectExit(await world.cmdStandby(heir, ['-A', 'stop']), 0);
    const held = withHeld(world, heir, 'start_command');
    const late = world.startStandby(heir, ['-F999']);
    await held.untilBegun();
    const program = serverProgram(world.major, 'pg_ctl');
    expect((await run(program, ['promote', '-D', other.pgdata, '-w'])).code).toBe(0);
    held.release();
    const refused = await late.finished;
    expect(refused.code, refused.stderr).not.toBe(0);
    expect(refused.stderr).toContain('standby other is out of recovery');
    expect(readFileSync(join(heir.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted_at');
    expect(marksAt(other)).toEqual([]);
  });

  test('asks its own archive once more, where only that knows of a promotion meanwhile', async ({
    world,
  }) => {
    const { heir, other } = await makeRivals(world);
    expectExit(await world.cmdStandby(heir, ['-A', 'stop']), 0);
    const held = withHeld(world, heir, 'start_command');
    const late = world.startStandby(heir, ['-F999']);
    await held.untilBegun();
    expectExit(await world.cmdStandby(other, ['-F999']), 0);
    expect(marksAt(heir)).toHaveLength(1);
    await other.host.sshd.kill();
    held.release();
    const refused = await late.finished;
    expect(refused.code, refused.stderr).toBe(1);
    expect(refused.stderr).toMatch(/timeline 1 was left at \S+ by .*, and this host has not followed/);
    expect(readFileSync(join(heir.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted_at');
  });

  test.for(['promoted', 'further'] as const)(
    'asks a standby once more that was silent at first, and is %s',
    async (what, { world }) => {
      const { heir, other } = await makeRivals(world, what === 'further');
      expectExit(await world.cmdStandby(heir, ['-A', 'stop']), 0);
      heir.writeIni({ failover_probe_timeout: 10 });
      const held = withHeld(world, heir, 'start_command');
      await other.host.sshd.kill();
      const late = world.startStandby(heir, ['-F999']);
      await held.untilBegun();
      const sinceMs = Date.now();
      if (what === 'promoted')
        expect(
          (await run(serverProgram(world.major, 'pg_ctl'), ['promote', '-D', other.pgdata, '-w'])).code,
        ).toBe(0);
      await other.host.sshd.start();
      await eventually(() => Date.now() - sinceMs > 10_000, { limitMs: 20_000, what: 'an old answer' });
      held.release();
      const refused = await late.finished;
      expect(refused.code, refused.stderr).toBe(1);
      expect(refused.stderr).toContain(
        what === 'promoted'
          ? 'standby other is out of recovery'
          : 'standby other did not answer at first, and has WAL that this host lacks: 1 segment',
      );
      expect(readFileSync(join(heir.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted_at');
      if (what === 'promoted') return;
      const fetched = await world.cmdStandby(heir, ['-F999']);
      expectExit(fetched, 0);
      expect(await countRows(heir)).toBe(200);
    },
  );

  test('asks the primary once more where its first answer is old', async ({ world }) => {
    const { primary, heir } = await makeRivals(world);
    expectExit(await world.cmdStandby(heir, ['-A', 'stop']), 0);
    heir.writeIni({ failover_probe_timeout: 1 });
    const held = withHeld(world, heir, 'start_command');
    const late = world.startStandby(heir, ['-F999']);
    await held.untilBegun();
    const sinceMs = Date.now();
    await primary.start();
    await eventually(() => Date.now() - sinceMs > 1_000, { limitMs: 10_000, what: 'an old answer' });
    held.release();
    const refused = await late.finished;
    expect(refused.code, refused.stderr).toBe(1);
    expect(refused.stderr).toContain('the primary is alive');
    expect(readFileSync(join(heir.archiveDir, '.pitrtools'), 'utf8')).not.toContain('promoted_at');
  });
});
