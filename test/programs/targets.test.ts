import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createWorld, type World } from '../harness/world.ts';
import { expectExit } from './standby-kit.ts';
import { lastRow, makeScene, type Marks, type Scene, targetMajors } from './targets-kit.ts';

/** The options, and the last row that must be there: the one just before the target, and none after it. */
const targets: readonly (readonly [string, number, (marks: Marks) => readonly string[]])[] = [
  ['a time', 2, ({ time }) => ['-R', time]],
  ['just before a time', 1, ({ time }) => ['--target-time', time, '--target-exclusive']],
  ['a transaction', 4, ({ xid }) => ['--target-xid', xid]],
  ['just before a transaction', 3, ({ xid }) => ['--target-xid', xid, '--target-exclusive']],
  ['an LSN', 6, ({ lsn }) => ['--target-lsn', lsn]],
  ['just before an LSN', 5, ({ lsn }) => ['--target-lsn', lsn, '--target-exclusive']],
  ['a named restore point', 8, ({ name }) => ['--target-name', name]],
  ['the end of the base backup', 0, () => ['--target-immediate']],
];

/** All of them both ways, or each of them one way where a run is to be short. */
const isWide = targetMajors().length > 1;
const opening = targets.filter((_, index) => isWide || index % 2 === 0);
const pausing = targets.filter((_, index) => isWide || index % 2 === 1);

describe.each(targetMajors())('recovery on PostgreSQL %i', (major) => {
  let world: World;
  let scene: Scene;
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

  test.each(opening)('reaches %s, and opens there', async (_, row, options) => {
    const { standby, marks } = scene;
    const run = await world.cmdStandby(standby, ['-F999', ...options(marks)]);
    expectExit(run, 0);
    expect(run.stdout).toContain('Failover finished\n');
    expect(run.stdout).toMatch(/WAL was replayed up to [0-9A-F]+\/[0-9A-F]+\n/);
    expect(await standby.inRecovery()).toBe(false);
    expect(await lastRow(standby)).toBe(row);
    // Up to 11 a base backup need not have one.
    const autoConf = join(standby.pgdata, 'postgresql.auto.conf');
    if (existsSync(autoConf)) expect(readFileSync(autoConf, 'utf8')).not.toContain('recovery_target');
    for (const name of ['recovery.signal', 'standby.signal', 'recovery.conf'])
      expect(existsSync(join(standby.pgdata, name))).toBe(false);
  });

  test.each(pausing)('reaches %s, and pauses there', async (_, row, options) => {
    const { standby, marks } = scene;
    const actions = standby.failoverActions();
    const run = await world.cmdStandby(standby, ['-F999', ...options(marks), '--target-action', 'pause']);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/WAL was replayed up to [0-9A-F]+\/[0-9A-F]+\nPaused (at|just before) /);
    expect(await standby.inRecovery()).toBe(true);
    expect(await lastRow(standby)).toBe(row);
    expect(standby.failoverActions()).toBe(actions);
  });
});
