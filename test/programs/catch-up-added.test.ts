import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { outerMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, dropSlave, laneState, untilCaughtUp } from './catch-up-kit.ts';
import { addHeir, failOver, makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(outerMajors())('a server on PostgreSQL %i that was promoted long ago', (major) => {
  test.override({ major });

  test(
    'feeds a standby that is added now, or says what exists nowhere here any more',
    { timeout: 300_000 },
    async ({ world }) => {
      const a = await world.startPrimary({ name: 'a', slaves: ['b', 'c', 'd'] });
      await a.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
      await installHelpers(a);
      const b = await addHeir(world, 'b', a, 'promotion');
      const [c, d] = [await world.addStandby('c', a), await world.addStandby('d', a)];
      expectExit(await world.cmdArchiver(a, ['-I']), 0);
      for (const standby of [b, c]) await makeStandby(world, standby);
      expectExit(await world.cmdStandby(d, ['-I']), 0);
      for (const standby of ['b', 'c']) await untilCaughtUp(a, standby);
      dropSlave(a, 'c');
      const unseen = await archiveSegments(a, 2);
      await b.received(unseen[1] ?? '');
      const primary = await failOver(world, a, b, ['d']);
      // The server needs all that is older no more, and removes it.
      const recycle = async () => {
        for (let each = 0; each < 2; each++) {
          await archiveSegments(primary, 1);
          await primary.sql('CHECKPOINT');
        }
      };
      await primary.sql("ALTER SYSTEM SET min_wal_size = '32MB'");
      await primary.reload();
      await eventually(
        async () => (await primary.value('SELECT count(*) FROM pg_replication_slots')) === '0',
        { limitMs: 120_000, what: 'no slot that keeps WAL' },
      );
      await recycle();
      expect(existsSync(join(b.pgdata, 'pg_wal', unseen[0] ?? ''))).toBe(false);
      const kept = await archiveSegments(primary, 1);
      await world.asPrimary(b, ['d', 'c']);
      for (const name of ['00000002.history', ...unseen]) await c.received(name);
      await eventually(() => laneState(primary, 'c').gap !== undefined, {
        limitMs: 120_000,
        what: 'the gap',
      });
      const [gap] = laneState(primary, 'c').gap?.missing ?? [];
      expect(gap?.first).toMatch(/^00000002/);
      await c.received(kept[0] ?? '');
      expect((await world.cmdArchiver(primary, ['--flush'])).stdout).toContain(gap?.first);
      expect((await world.cmdStandby(c, [])).stderr).toContain(gap?.first);
    },
  );
});
