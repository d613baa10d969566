import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { archiveSegments, dropSlave, laneState, untilCaughtUp } from './catch-up-kit.ts';
import { hasRows, makeStandby } from './matrix-kit.ts';
import { shipperPids } from './shipper-kit.ts';
import { expectExit } from './standby-kit.ts';

/** A primary, a standby s2 that follows it, and a place s1 that stores its WAL. */
async function makeTrio(world: World): Promise<{ primary: Primary; first: Standby; second: Standby }> {
  const primary = await world.startPrimary({ slaves: ['s1', 's2'] });
  await primary.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await installHelpers(primary);
  const first = await world.addStandby('s1', primary);
  const second = await world.addStandby('s2', primary, { ini: { wal_timeout: 60 } });
  expectExit(await world.cmdStandby(first, ['-I']), 0);
  expectExit(await world.cmdStandby(second, ['-I']), 0);
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  await makeStandby(world, second);
  return { primary, first, second };
}

describe.each(failureMajors())(
  'a standby of which it is not known what it has, on PostgreSQL %i',
  (major) => {
    test.override({ major });

    test(
      'gets what it lacks, by the shipper and by --flush, and after a shipper was killed',
      { timeout: 400_000 },
      async ({ world }) => {
        const { primary, first, second } = await makeTrio(world);
        await untilCaughtUp(primary, 's2');
        expect(laneState(primary, 's1').caughtUp?.hasNoData).toBe(true);

        // It was not in slaves while these were archived.
        let addAgain = dropSlave(primary, 's2');
        const unseen = await archiveSegments(primary, 3);
        for (const name of unseen) await first.received(name);
        expect(second.archive()).not.toContain(unseen[0]);
        expect(laneState(primary, 's2').caughtUp).toBeUndefined();
        addAgain();
        // Without any new segment.
        for (const name of unseen) await second.received(name);
        await untilCaughtUp(primary, 's2');
        expect(laneState(primary, 's2').gap).toBeUndefined();
        await hasRows(second, 30);

        // The shipper dies while it is sending.
        addAgain = dropSlave(primary, 's2');
        const interrupted = await archiveSegments(primary, 5);
        addAgain('ship_bwlimit: 300kB\n');
        await second.received(interrupted[0] ?? '');
        for (const pid of shipperPids(primary.host)) process.kill(pid, 'SIGKILL');
        expect(laneState(primary, 's2').caughtUp).toBeUndefined();
        expect(second.archive()).not.toContain(interrupted[4]);
        addAgain();
        const next = await archiveSegments(primary, 1);
        for (const name of [...interrupted, ...next]) await second.received(name);
        await untilCaughtUp(primary, 's2');
        await hasRows(second, 90);

        // Abandoned, and resumed without a base backup.
        expectExit(await world.cmdArchiver(primary, ['--abandon', 's2']), 0);
        const abandoned = await archiveSegments(primary, 2);
        expectExit(await world.cmdArchiver(primary, ['--resume', 's2']), 0);
        expect(laneState(primary, 's2').caughtUp).toBeUndefined();
        for (const name of abandoned) await second.received(name);
        await untilCaughtUp(primary, 's2');

        // Without a shipper.
        addAgain = dropSlave(primary, 's2');
        const flushed = await archiveSegments(primary, 2);
        // A stop would end with a checkpoint, which removes them; the shipper dies with the server.
        await primary.kill9();
        await eventually(() => shipperPids(primary.host).length === 0, {
          limitMs: 60_000,
          what: 'no shipper',
        });
        addAgain();
        const flush = await world.cmdArchiver(primary, ['--flush']);
        expectExit(flush, 0);
        expect(flush.stdout).toContain('Standby s2: it has all WAL from its restartpoint on');
        expect(second.archive()).toEqual(expect.arrayContaining(flushed));
        expect(laneState(primary, 's2').caughtUp?.timeline).toBe(1);
      },
    );

    test(
      'a gap is said by both programs, and closed by a new base backup',
      { timeout: 240_000 },
      async ({ world }) => {
        const { primary, second } = await makeTrio(world);
        await untilCaughtUp(primary, 's2');
        const addAgain = dropSlave(primary, 's2');
        const lost = await archiveSegments(primary, 3);
        // As PostgreSQL removes them, once it needs them no more.
        for (const name of lost.slice(0, 2)) rmSync(join(primary.pgdata, 'pg_wal', name));
        addAgain();
        await second.received(lost[2] ?? '');
        await eventually(() => laneState(primary, 's2').gap !== undefined, {
          limitMs: 60_000,
          what: 'the gap',
        });
        expect(laneState(primary, 's2').gap?.missing).toEqual([{ first: lost[0], last: lost[1] }]);
        const sentence = `standby s2 lacks ${lost[0] ?? ''} to ${lost[1] ?? ''} and they exist nowhere here`;
        await eventually(() =>
          primary.host
            .notifications()
            .some(({ severity, message }) => severity === 'critical' && message.startsWith(sentence)),
        );
        const listing = await world.cmdStandby(second, ['--wal']);
        expect(listing.stdout).toContain(`${lost[0] ?? ''} to ${lost[1] ?? ''}`);
        expect(listing.stdout).toMatch(/needs a new base backup/);
        const check = await world.cmdStandby(second, []);
        expect(check.stderr).toContain(`${lost[0] ?? ''} to ${lost[1] ?? ''}`);
        await archiveSegments(primary, 1);
        expect(primary.logText()).toContain(sentence);
        expectExit(await world.cmdArchiver(primary, []), 0);

        expectExit(await world.cmdStandby(second, ['-A', 'stop']), 0);
        expectExit(await world.cmdStandby(second, ['-B']), 0);
        expectExit(await world.cmdStandby(second, ['-S']), 0);
        await eventually(() => laneState(primary, 's2').gap === undefined, {
          limitMs: 120_000,
          what: 'no gap',
        });
        await eventually(() =>
          primary.host.notifications().some(({ message }) => /s2 lacks no WAL any more/.test(message)),
        );
      },
    );
  },
);
