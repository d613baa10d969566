import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { outerMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, dropSlave, laneState, untilCaughtUp } from './catch-up-kit.ts';
import { addHeir, addRows, failOver, hasRows, makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(outerMajors())('a promoted server on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'feeds its sibling the history file and the first segments, although archiving was turned on later',
    { timeout: 300_000 },
    async ({ world }) => {
      const a = await world.startPrimary({ name: 'a', slaves: ['b', 'c'] });
      await a.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
      await installHelpers(a);
      const b = await world.addStandby('b', a, {
        ini: { use_streaming_replication: 'on', wal_timeout: 60, failover_probe_timeout: 2 },
      });
      const c = await world.addStandby('c', a, { ini: { wal_timeout: 60 } });
      expectExit(await world.cmdArchiver(a, ['-I']), 0);
      for (const standby of [b, c]) await makeStandby(world, standby);
      const [old = ''] = await archiveSegments(a, 1);
      await c.received(old);
      await addRows(a, 10);
      await hasRows(b, 20);
      const primary = await failOver(world, a, b, ['c']);
      await addRows(primary, 10);
      const segments = [await primary.switchWal(), await primary.switchWal()];
      expect(c.archive()).not.toContain('00000002.history');

      const flushed = await world.cmdArchiver(primary, ['--flush']);
      expectExit(flushed, 0);
      expect(c.archive()).toEqual(expect.arrayContaining(['00000002.history', ...segments.slice(0, 1)]));
      expect(laneState(primary, 'c').caughtUp?.timeline).toBe(2);
      await hasRows(c, 30);
    },
  );

  test('gives from its own archive what its pg_wal never held', { timeout: 300_000 }, async ({ world }) => {
    const a = await world.startPrimary({ name: 'a', slaves: ['b', 'c'] });
    await a.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
    await installHelpers(a);
    const b = await addHeir(world, 'b', a, 'promotion');
    const c = await world.addStandby('c', a, { ini: { wal_timeout: 60 } });
    expectExit(await world.cmdArchiver(a, ['-I']), 0);
    for (const standby of [b, c]) await makeStandby(world, standby);
    await untilCaughtUp(a, 'c');
    dropSlave(a, 'c');
    const lost = await archiveSegments(a, 2);
    for (const name of lost) await b.received(name);
    await hasRows(b, 20);
    const primary = await failOver(world, a, b, ['c']);
    for (const name of lost) rmSync(join(b.pgdata, 'pg_wal', name), { force: true });
    await archiveSegments(primary, 1);
    for (const name of [...lost, '00000002.history']) await c.received(name);
    await untilCaughtUp(primary, 'c', 2);
    await hasRows(c, 30);
  });
});
