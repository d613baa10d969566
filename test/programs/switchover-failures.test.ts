import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { test } from '../harness/test.ts';
import { countRows, expectExit } from './standby-kit.ts';
import { appears, expectTurned, insertRows, isPrimary, makeDuo, record, stateOf } from './switchover-kit.ts';

describe('--switchover that fails before the promotion', () => {
  test(
    'puts the old primary back, which continues in the segment that was brought',
    { timeout: 180_000 },
    async ({ world }) => {
      const duo = await makeDuo(world, { streams: false });
      const { old, heir } = duo;
      await insertRows(old, 100);
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

  test('because the primary refuses to stop, changes nothing', { timeout: 180_000 }, async ({ world }) => {
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
  });

  test(
    'and cannot reach the old primary again, says what to do, and the next call finishes it',
    { timeout: 240_000 },
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
