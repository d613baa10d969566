import { describe, expect } from 'vitest';
import { failureMajors } from '../harness/postgres-programs.ts';
import { shows } from '../harness/scenarios.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import {
  addBoth,
  addHeir,
  addRows,
  failOver,
  hasRows,
  leaveIn,
  makeStandby,
  timelineOf,
  timelinesIn,
  turnTo,
} from './matrix-kit.ts';
import { countRows, expectExit, movedAside } from './standby-kit.ts';

describe.each(failureMajors())('a chain of failovers on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'leads from A to B, from B to C, and back to A as a standby of C',
    { ...shows('chain of failovers', 'promoted primary'), timeout: 400_000 },
    async ({ world }) => {
      const a = await world.startPrimary({ name: 'a', slaves: ['b', 'witness'] });
      await a.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
      await installHelpers(a);
      const b = await addHeir(world, 'b', a, 'failover configuration');
      // A warm standby that every primary of the chain ships to, and that nobody restarts.
      const witness = await world.addStandby('witness', a, { ini: { wal_timeout: 60 } });
      expectExit(await world.cmdArchiver(a, ['-I']), 0);
      await makeStandby(world, b);
      await makeStandby(world, witness);

      await addBoth(a, [b, witness], 100);
      await hasRows(b, 200);
      const second = await failOver(world, a, b, ['c', 'witness']);
      expect(await timelineOf(b)).toBe(2);
      const c = await addHeir(world, 'c', second, 'promotion');
      await makeStandby(world, c);
      await addBoth(second, [c, witness], 100);
      await hasRows(c, 400);
      await hasRows(witness, 300);
      await c.received('00000002.history');

      const third = await failOver(world, b, c, ['a', 'witness']);
      expect(await timelineOf(c)).toBe(3);
      await addBoth(third, [witness], 100);
      await hasRows(witness, 500);
      expect(witness.archive()).toEqual(expect.arrayContaining(['00000002.history', '00000003.history']));
      expect(timelinesIn(witness.archive())).toEqual([1, 2, 3]);

      // A comes back alone, continues where it was, and leaves what nobody else has in its own archive.
      await a.start();
      const alone: string[] = [];
      while (alone.length < 8) {
        await addRows(a, 10);
        alone.push(await a.switchWal());
      }
      // Far beyond where the others are, and with gaps: nothing that anybody could replay.
      const abandoned = alone.filter((_, index) => index % 2 === 1);
      await a.stop('immediate');
      const again = await world.addStandby('a', third, {
        pgdata: a.pgdata,
        ini: { wal_timeout: 60, failover_probe_timeout: 2 },
      });
      leaveIn(again.archiveDir, a.pgdata, abandoned);
      // A server that was not shut down may hold WAL that nobody else has.
      expectExit(await world.cmdStandby(again, ['-I']), 4);
      await makeStandby(world, again, ['--force']);
      await addBoth(third, [again, witness], 100);
      await hasRows(again, 700);
      // WAL from behind the fork was moved aside before replay could reach it, and nothing of it is lost.
      expect(again.archive().filter((name) => abandoned.includes(name))).toEqual([]);
      expect(movedAside(again, 1)).toEqual(abandoned);
      expect(await again.inRecovery()).toBe(true);

      await c.kill9();
      turnTo(again, third);
      expectExit(await world.cmdStandby(again, ['-F999']), 0);
      expect(await timelineOf(again)).toBe(4);
      expect(await countRows(again)).toBe(700);
    },
  );
});
