import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Finished } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { snapshot } from './backup-kit.ts';
import { holdRestore } from './hold-restore.ts';
import { expectExit } from './standby-kit.ts';
import { lastRow, makeScene, type Scene } from './targets-kit.ts';

describe.each(failureMajors())('a recovery target on PostgreSQL %i', (major) => {
  let world: World;
  let scene: Scene;
  const command = (...args: string[]) => world.cmdStandby(scene.standby, ['-F999', ...args]);
  const archived = (name: string) => join(scene.standby.archiveDir, name);
  const segments = () => scene.standby.archive().filter((name) => name.length === 24);

  /** Refuses, and leaves every byte of the data directory and of the archive as it was. */
  async function refuses(args: readonly string[], reason: string): Promise<Finished> {
    const { standby } = scene;
    const state = () => ({ ...snapshot(standby.pgdata), ...snapshot(standby.archiveDir) });
    const before = state();
    const run = await command(...args);
    expectExit(run, 4);
    expect(run.stderr).toContain(reason);
    expect(state()).toEqual(before);
    expect(standby.isRunning()).toBe(false);
    return run;
  }

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

  test('is refused before the end of the base backup', async () => {
    await refuses(['-R', '2008-05-28 11:00:38.059389+00'], 'lies before the end of the base backup');
    await refuses(['--target-lsn', '0/1000000'], 'lies before the end of the base backup');
    await refuses(['--target-xid', '3'], 'transaction 3 has ended in what is here already');
  });

  test('is refused if the configuration does not allow it, and a dry run changes nothing', async () => {
    const { standby, marks } = scene;
    const file = join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf');
    const before = readFileSync(file);
    appendFileSync(file, 'hot_standby = off\n');
    await refuses(['--target-name', marks.name, '--target-action', 'pause'], 'hot_standby is off');
    writeFileSync(file, before);
    standby.writeIni({ use_streaming_replication: 'on' });
    await refuses(['--target-name', marks.name], 'use_streaming_replication is on');
    standby.writeIni({ use_streaming_replication: 'no' });

    const state = snapshot(standby.pgdata);
    const dry = await command('--target-name', marks.name, '--target-action', 'pause', '--dry-run');
    expectExit(dry, 0);
    expect(dry.stdout).toContain(
      "wait until it has recovered to restore point 'it's row 8' and pauses there",
    );
    expect(snapshot(standby.pgdata)).toEqual(state);
  });

  test('is refused beyond the end of the archive', async () => {
    const beyond = await refuses(['--target-lsn', '7F/0'], 'lies beyond the WAL that can be replayed');
    expect(beyond.stderr).toContain(`${segments().at(-1) ?? ''} is the last segment`);
    await refuses(['-R', '2999-01-01 00:00:00+00'], 'lies in the future');
  });

  test('is refused behind a gap, or behind a segment of another place in the WAL', async () => {
    const [first = '', second = '', third = ''] = segments().slice(-3);
    renameSync(archived(second), join(world.directory, 'away'));
    await refuses(['--target-name', scene.marks.name], `segment ${second} is missing`);
    await refuses(['--target-lsn', '0/6000000'], 'lies beyond the WAL');
    // Without a word of the server: the bytes of one segment under the name of another.
    writeFileSync(archived(second), scene.standby.archivedBytes(third));
    await refuses(['--target-xid', scene.marks.xid], `segment ${second} cannot be replayed: it begins at`);
    truncateSync(archived(second), 4096);
    await refuses(['-R', scene.marks.time], 'it has 4096 bytes instead of 16777216');
    rmSync(archived(first));
    await refuses(['--target-immediate'], 'the base backup cannot become consistent');
  });

  test('is tried behind a gap with --force: it is reached before the gap, otherwise reported, and the server never opens before it', async () => {
    const { standby, marks } = scene;
    const [, second = ''] = segments().slice(-2);
    const away = join(world.directory, 'later');
    renameSync(archived(second), away);
    const last = await world.cmdStandby(standby, ['-F999', '--target-name', 'no such point', '--force']);
    expectExit(last, 1);
    expect(last.stderr).toContain("the WAL in the archive ends before restore point 'no such point'");
    expect(standby.isRunning()).toBe(false);

    await scene.again();
    renameSync(archived(second), join(world.directory, 'again'));
    expectExit(await command('--target-name', marks.name, '--force'), 0);
    expect(await lastRow(standby)).toBe(8);
  });

  test('is refused on a timeline that does not exist or that does not lead through the data here', async () => {
    await refuses(['--target-name', 'x', '--target-timeline', '7'], 'there is no history file of timeline 7');
    writeFileSync(archived('00000002.history'), '1\t0/1000100\tno recovery target specified\n');
    await refuses(
      ['--target-name', 'x'],
      'the history of timeline 2 leaves timeline 1 at 0/1000100, but the data here',
    );
    const run = await command('--target-name', scene.marks.name, '--target-timeline', 'current');
    expectExit(run, 0);
    expect(await lastRow(scene.standby)).toBe(8);
  });

  test.each([
    ['a transaction', ['--target-xid', '4000000']],
    ['a restore point', ['--target-name', 'no such point']],
    ['a restore point to pause at', ['--target-name', 'no such point', '--target-action', 'pause']],
    ['a restore point to end at', ['--target-name', 'no such point', '--target-action', 'shutdown']],
  ])('is reported as not reached if it is %s that the WAL does not contain', async (_, args) => {
    const { standby } = scene;
    const actions = standby.failoverActions();
    const run = await command(...args);
    expectExit(run, 1);
    expect(run.stderr).toContain('the WAL in the archive ends before');
    expect(standby.isRunning()).toBe(false);
    expect(standby.failoverActions()).toBe(actions);
    expect(existsSync(join(standby.pgdata, 'pitrtools.json'))).toBe(true);
  });

  test.skipIf(major < 12)('does not continue by itself after an interruption', async () => {
    const { standby, marks } = scene;
    const hold = holdRestore(standby.host, segments().at(-2) ?? '');
    const args = ['-F999', '--target-name', marks.name];
    const running = world.startStandby(standby, args, { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: 'the restore of its segment' });
    running.signal('SIGTERM');
    const ended = await running.finished;
    hold.release();
    expectExit(ended, 6);
    expect(standby.isRunning()).toBe(false);
    await standby.start().catch(() => undefined);
    expect(standby.isRunning()).toBe(false);
    expectExit(await command('--target-name', marks.name), 0);
    expect(await lastRow(standby)).toBe(8);
  });
});
