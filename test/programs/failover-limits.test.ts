import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

/** A hot standby that cannot replay what its primary has logged since that has more connections: with 10 rows of 20. */
async function standstill(here: World): Promise<Pair> {
  const pair = await makePair(here, { settings: { max_connections: 40 } });
  const { primary, standby } = pair;
  expectExit(await here.cmdStandby(standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await eventually(async () => (await countRows(standby)) === 10);
  primary.configure({ max_connections: 60 });
  await primary.restart();
  await archiveRows(pair, 20);
  // Up to 13 the server ends by itself, later its replay waits.
  await eventually(
    async () => !standby.isRunning() || (await standby.value('SELECT pg_is_wal_replay_paused()')) === 'true',
  );
  return pair;
}

describe.each(failureMajors())(
  'a hot standby with lower settings than the primary, on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test('is named with both values by the check and by -S, and -F999 raises its settings', async ({
      world,
    }) => {
      const { primary, standby } = await standstill(world);
      const wasRunning = standby.isRunning();
      const check = await world.cmdStandby(standby, []);
      expectExit(check, 1);
      expect(check.stderr).toContain('max_connections is 40 here, and the primary has 60');
      expect(check.stdout).not.toContain('Config OK');
      await primary.kill9();

      // Nothing is changed where the site's own start_command knows nothing of other settings.
      standby.writeIni({ start_command: '/bin/true' });
      const refused = await world.cmdStandby(standby, ['-F999']);
      expectExit(refused, 4);
      expect(refused.stderr).toContain('start_command cannot start the server with other settings');
      expect(standby.isRunning()).toBe(wasRunning);
      standby.writeIni({ start_command: undefined });

      if (standby.isRunning()) await standby.stop();
      const asStandby = await world.cmdStandby(standby, ['-S']);
      expectExit(asStandby, 4);
      expect(asStandby.stderr).toMatch(
        /max_connections is 40 here, and the primary has 60.*nothing was changed/,
      );
      expect(asStandby.stderr).toContain('Set max_connections = 60 in ');

      const run = await world.cmdStandby(standby, ['-F999']);
      expectExit(run, 0);
      expect(run.stderr).toContain('max_connections is raised from 40 to 60');
      expect(await standby.inRecovery()).toBe(false);
      expect(await countRows(standby)).toBe(20);
    });

    test.runIf(major >= 14)(
      'is restarted by -F999 with higher settings and promoted if it runs paused',
      async ({ world }) => {
        const { primary, standby } = await standstill(world);
        await primary.kill9();
        const run = await world.cmdStandby(standby, ['-F999']);
        expectExit(run, 0);
        expect(run.stderr).toContain('max_connections is raised from 40 to 60');
        expect(run.stdout).toContain('Failover finished');
        expect(await standby.inRecovery()).toBe(false);
        expect(await countRows(standby)).toBe(20);
      },
    );

    test('is refused by -S if it was never started, and promoted by -F999 with the values in pg_control', async ({
      world,
    }) => {
      const pair = await makePair(world, { settings: { max_locks_per_transaction: 40 } });
      const { primary, standby } = pair;
      primary.configure({ max_locks_per_transaction: 40 });
      await primary.restart();
      await archiveRows(pair, 1);
      // pg_control of the base backup still has the default.
      const refused = await world.cmdStandby(standby, ['-S']);
      expectExit(refused, 4);
      expect(refused.stderr).toContain('max_locks_per_transaction is 40 here, and the primary has 64');
      await primary.kill9();
      expectExit(await world.cmdStandby(standby, ['-F999']), 0);
      expect(await countRows(standby)).toBe(1);
    });
  },
);
