import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createWorld, type World } from '../harness/world.ts';
import { expectExit } from './standby-kit.ts';
import { lastRow, makeScene, type Scene, targetMajors } from './targets-kit.ts';

describe.each(targetMajors())('recovery to a target on PostgreSQL %i', (major) => {
  let world: World;
  let scene: Scene;
  const command = (...args: string[]) => world.cmdStandby(scene.standby, args);
  beforeAll(async () => {
    world = await createWorld({ major });
    scene = await makeScene(world);
  }, 120_000);
  afterAll(async () => {
    await world.close();
  });
  beforeEach(async () => {
    await scene.again();
  });

  test('pauses there, continues to a later target, and opens there by -F999', async () => {
    const { standby, marks } = scene;
    expectExit(await command('-F999', '--target-time', marks.time, '--target-action', 'pause'), 0);
    expect(await lastRow(standby)).toBe(2);
    await expect(standby.sql('INSERT INTO rows VALUES (100)')).rejects.toThrow('read-only');

    const further = await command('-F999', '--target-xid', marks.xid, '--target-action', 'pause');
    expectExit(further, 0);
    expect(await lastRow(standby)).toBe(4);
    const back = await command('-F999', '--target-time', marks.time, '--target-exclusive');
    expectExit(back, 4);
    expect(back.stderr).toContain('has replayed past');
    const same = await command('-F999', '--target-xid', '3');
    expectExit(same, 4);

    // What a machine's restart does.
    await standby.restart();
    await expect.poll(() => lastRow(standby), { timeout: 120_000 }).toBe(4);
    await expect
      .poll(() => standby.value('SELECT pg_is_wal_replay_paused()'), { timeout: 120_000 })
      .toBe('true');
    const open = await command('-F999');
    expectExit(open, 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await lastRow(standby)).toBe(4);
    for (const name of ['recovery.signal', 'standby.signal', 'recovery.conf'])
      expect(existsSync(join(standby.pgdata, name))).toBe(false);
  });

  test('does not continue past its target if the server was stopped while it paused', async () => {
    const { standby, marks } = scene;
    expectExit(await command('-F999', '--target-name', marks.name, '--target-action', 'pause'), 0);
    await standby.stop();
    const past = await command('-F999');
    expectExit(past, 4);
    expect(past.stderr).toContain('a recovery to a target in');
    // The target that it stands at may be asked for again.
    expectExit(await command('-F999', '--target-name', marks.name), 0);
    expect(await lastRow(standby)).toBe(8);
    expect(await standby.inRecovery()).toBe(false);
  });

  test('shuts down there, cannot be started by accident, and then opens at that target', async () => {
    const { standby, marks } = scene;
    const to = ['-F999', '--target-lsn', marks.lsn];
    const run = await command(...to, '--target-action', 'shutdown');
    expectExit(run, 0);
    expect(run.stdout).toMatch(/WAL was replayed up to [0-9A-F]+\/[0-9A-F]+\nShut down at LSN /);
    expect(standby.isRunning()).toBe(false);
    // pg_ctl of 18 calls it no failure when a server ends in recovery.
    await standby.start().catch(() => undefined);
    expect(standby.isRunning()).toBe(false);
    expect(standby.logText()).toContain('an interrupted recovery is on hold');
    const start = await command('-A', 'start');
    expectExit(start, 4);
    expect(start.stderr).toContain('an interrupted recovery is on hold');

    const earlier = await command('-F999', '-R', marks.time);
    expectExit(earlier, 1);
    expect(earlier.stderr).toContain('has replayed past');
    expectExit(await command(...to), 0);
    expect(await lastRow(standby)).toBe(6);
    expect(await standby.inRecovery()).toBe(false);
  });

  test('continues as a standby without a target after it has shut down', async () => {
    const { standby, marks } = scene;
    expectExit(await command('-F999', '-R', marks.time, '--target-action', 'shutdown'), 0);
    expectExit(await command('-S'), 0);
    await expect.poll(() => lastRow(standby), { timeout: 120_000 }).toBe(10);
    expect(await standby.inRecovery()).toBe(true);
  });
});
