import { existsSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { serverProgram } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { countRows, expectExit } from './standby-kit.ts';
import {
  appears,
  type Duo,
  expectTurned,
  insertRows,
  isPrimary,
  makeDuo,
  record,
  stateOf,
} from './switchover-kit.ts';

/** A stop that is killed before the server was stopped leaves the settings of a standby on a primary that serves. */
async function seeInterruptedStop(world: World, { old, oldAsStandby, heir }: Duo): Promise<void> {
  const host = heir.host.address;
  const cluster = await old.value('SELECT system_identifier FROM pg_control_system()');
  const files = ['standby.signal', 'recovery.conf'].map((name) => join(old.pgdata, name));
  const startsAsStandby = () => files.some((path) => existsSync(path));
  const killStop = async (token: string) => {
    oldAsStandby.writeIni({ stop_command: 'kill -9 $PPID' });
    const args = ['--serve', `stop-primary 1 ${host} ${cluster} ${token}`];
    expect((await world.cmdStandby(oldAsStandby, args)).code).not.toBe(0);
    oldAsStandby.writeIni({ stop_command: undefined });
    expect(await isPrimary(old)).toBe(true);
    expect(startsAsStandby()).toBe(true);
  };
  const resume = (token: string) =>
    world.cmdStandby(oldAsStandby, ['--serve', `resume-primary 1 ${cluster} ${token}`]);

  await killStop('aaaaaaa1');
  const looked = await world.cmdStandby(oldAsStandby, []);
  expect(looked.stderr).toContain(
    `was to be stopped for a switchover to ${host}, and its next start would be that of a standby`,
  );
  expect(looked.stderr).toContain(`--serve 'resume-primary 1 ${cluster} aaaaaaa1'`);
  const stop = await world.cmdStandby(oldAsStandby, ['-A', 'stop', '--dry-run']);
  expect(stop.stderr).toContain(`was to be stopped for a switchover to ${host}`);
  const archiver = await world.cmdArchiver(old, []);
  expectExit(archiver, 0);
  expect(archiver.stderr).toContain(
    `or was to be stopped, for a switchover to ${host}, which is not finished`,
  );
  const before = record(old);
  const late = await resume('bbbbbbb2');
  expectExit(late, 0);
  expect(late.stdout).toContain(`"heldBy":"${host}"`);
  expect(record(old)).toEqual(before);
  expect(startsAsStandby()).toBe(true);
  expectExit(await resume('aaaaaaa1'), 0);
  expect(startsAsStandby()).toBe(false);
  expect(record(old)['stoppedFor']).toBeUndefined();

  await killStop('ccccccc3');
  const planned = await world.cmdStandby(heir, ['--switchover', '--dry-run']);
  expectExit(planned, 0);
  expect(planned.stderr).toContain(`was to be stopped for a switchover to ${host}, and was not`);
  expect(startsAsStandby()).toBe(true);
}

describe('--switchover that fails before the promotion', () => {
  test(
    'puts the old primary back, which continues in the segment that was brought',
    { timeout: 480_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: false });
      const { old, heir } = duo;
      await insertRows(old, 100);
      // The standby is not asked to open, although everything before that is done and recorded.
      const pg_ctl = serverProgram(world.major, 'pg_ctl');
      const refusing = `case "$*" in *promote*) exit 1 ;; esac; exec '${pg_ctl}' "$@"`;
      const wrapper = writeScript(heir.host, 'pg_ctl', refusing);
      // The server's other programs are looked for beside it.
      symlinkSync(serverProgram(world.major, 'postgres'), join(dirname(wrapper), 'postgres'));
      heir.writeIni({ pg_ctl: wrapper });
      const notAsked = await world.cmdStandby(heir, ['--switchover']);
      expectExit(notAsked, 1);
      expect(notAsked.stderr).toContain('pg_ctl promote failed');
      expect(notAsked.stderr).toContain(`the old primary on ${old.host.address} is in service again`);
      expect(record(heir)).toMatchObject({ backup: { status: 'complete' } });
      for (const name of ['switchover', 'takesRole', 'promotion']) expect(record(heir)[name]).toBeUndefined();
      heir.writeIni({ pg_ctl });

      // It brings the segment, and then says that it has failed.
      const rsync = writeScript(heir.host, 'rsync', '/usr/bin/rsync "$@"; exit 23');
      heir.writeIni({ rsync });
      const failed = await world.cmdStandby(heir, ['--switchover']);
      expectExit(failed, 1);
      expect(failed.stderr).toContain(`the old primary on ${old.host.address} is in service again`);
      expect(await isPrimary(old)).toBe(true);
      expect(await heir.inRecovery()).toBe(true);
      expect(record(heir)['switchover']).toBeUndefined();
      expect(record(old)['stoppedFor']).toBeUndefined();

      // The segment that holds the shutdown is filled and archived by the old primary.
      await insertRows(old, 50);
      const segment = await old.switchWal();
      await heir.received(segment);
      await eventually(async () => (await countRows(heir)) === 150);

      heir.writeIni({ rsync: '/usr/bin/rsync' });
      expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
      await expectTurned(duo, 150);
    },
  );

  test('because the primary refuses to stop, changes nothing', { timeout: 480_000 }, async ({ world }) => {
    const duo = await makeDuo(world, { streams: true, ofOld: { stop_command: 'exit 1' } });
    const { old, heir } = duo;
    await insertRows(old, 100);
    const failed = await world.cmdStandby(heir, ['--switchover']);
    expectExit(failed, 1);
    expect(failed.stderr).toContain('stop_command');
    expect(await isPrimary(old)).toBe(true);
    await insertRows(old, 10);
    expect(await heir.inRecovery()).toBe(true);
    expect(record(heir)['switchover']).toBeUndefined();

    await seeInterruptedStop(world, duo);
    expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
    await expectTurned(duo, 110);
  });

  test(
    'and cannot reach the old primary again, says what to do, and the next call finishes it',
    { timeout: 480_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: false });
      const { old, heir } = duo;
      await insertRows(old, 100);
      const cut = join(heir.host.directory, 'cut');
      heir.writeIni({ rsync: writeScript(heir.host, 'rsync', `touch '${cut}'; sleep 5; exit 12`) });
      const run = world.startStandby(heir, ['--switchover']);
      await appears(cut);
      await old.host.sshd.kill();
      const failed = await run.finished;
      expectExit(failed, 1);
      expect(failed.stderr).toContain('could not be started again: no server takes writes');
      expect(stateOf(old)).toBe('shut-down');
      expect(await heir.inRecovery()).toBe(true);

      const refused = await world.cmdStandby(heir, ['--switchover']);
      expectExit(refused, 4);
      await old.host.sshd.start();
      heir.writeIni({ rsync: '/usr/bin/rsync' });
      expectExit(await world.cmdStandby(heir, ['--switchover']), 0);
      await expectTurned(duo, 100);
    },
  );
});
