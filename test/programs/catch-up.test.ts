import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveSegments, dropSlave, laneState, makeTrio, untilCaughtUp } from './catch-up-kit.ts';
import { hasRows } from './matrix-kit.ts';
import { shipperPids } from './shipper-kit.ts';
import { expectExit } from './standby-kit.ts';

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

        // Abandoned, and told at the standby to follow that primary.
        expectExit(await world.cmdArchiver(primary, ['--abandon', 's2']), 0);
        const missed = await archiveSegments(primary, 1);
        const address = `${primary.host.address}:${primary.port}`;
        expectExit(await world.cmdStandby(second, ['--follow', address]), 0);
        for (const name of missed) await second.received(name);
        await untilCaughtUp(primary, 's2');

        // Without a shipper.
        addAgain = dropSlave(primary, 's2');
        const flushed = await archiveSegments(primary, 2);
        // A stop would end with a checkpoint, which removes them; the shipper dies with the server.
        await primary.kill9();
        await eventually(() => shipperPids(primary.host).length === 0, {
          limitMs: 120_000,
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
  },
);
