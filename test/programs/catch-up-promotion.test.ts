import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, dropSlave, laneState, untilCaughtUp } from './catch-up-kit.ts';
import { addHeir, addRows, failOver, hasRows, makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(failureMajors())('a promoted server on PostgreSQL %i', (major) => {
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

  test(
    'feeds a standby that is added long after the promotion, or says what exists nowhere here any more',
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
        { limitMs: 60_000, what: 'no slot that keeps WAL' },
      );
      await recycle();
      expect(existsSync(join(b.pgdata, 'pg_wal', unseen[0] ?? ''))).toBe(false);
      const kept = await archiveSegments(primary, 1);
      await world.asPrimary(b, ['d', 'c']);
      for (const name of ['00000002.history', ...unseen]) await c.received(name);
      await eventually(() => laneState(primary, 'c').gap !== undefined, { limitMs: 60_000, what: 'the gap' });
      const [gap] = laneState(primary, 'c').gap?.missing ?? [];
      expect(gap?.first).toMatch(/^00000002/);
      await c.received(kept[0] ?? '');
      expect((await world.cmdArchiver(primary, ['--flush'])).stdout).toContain(gap?.first);
      expect((await world.cmdStandby(c, [])).stderr).toContain(gap?.first);
    },
  );
});
