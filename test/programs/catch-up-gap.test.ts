import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { outerMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { sendSignal, start } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { archiveSegments, dropSlave, laneState, makeTrio, untilCaughtUp } from './catch-up-kit.ts';
import { addRows, hasRows } from './matrix-kit.ts';
import { shipperPids } from './shipper-kit.ts';
import { expectExit } from './standby-kit.ts';

async function untilGap(primary: Primary) {
  await eventually(() => laneState(primary, 's2').gap !== undefined, { limitMs: 120_000, what: 'the gap' });
  return laneState(primary, 's2').gap;
}

/** From now on PostgreSQL archives by this command. */
async function archiveBy(primary: Primary, command: string): Promise<void> {
  primary.configure({ archive_command: command });
  await primary.reload();
  await eventually(async () => (await primary.value('SHOW archive_command')) === command);
}

describe.each(outerMajors())('WAL that another archive_command took, on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'is given to the standbys, whether the shipper saw it pass or had ended',
    { timeout: 480_000 },
    async ({ world }) => {
      const { primary, second } = await makeTrio(world);
      await untilCaughtUp(primary, 's2');
      const ours = await primary.value('SHOW archive_command');
      for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
        for (const pid of shipperPids(primary.host)) sendSignal(pid, signal);
        await archiveBy(primary, '/bin/true');
        const passed = await archiveSegments(primary, 3);
        await archiveBy(primary, ours);
        expect(second.archive()).not.toContain(passed.at(-1));
        if (signal === 'SIGSTOP') for (const pid of shipperPids(primary.host)) sendSignal(pid, 'SIGCONT');
        const [next = ''] = await archiveSegments(primary, 1);
        for (const name of [...passed, next]) await second.received(name);
        await untilCaughtUp(primary, 's2');
        expect(laneState(primary, 's2').gap).toBeUndefined();
      }
      await hasRows(second, 80);
    },
  );
});

describe.each(outerMajors())('WAL that cannot be given to a standby, on PostgreSQL %i', (major) => {
  test.override({ major });

  test(
    'because archiving was off: a gap, said by both programs, and closed by a new base backup',
    { timeout: 480_000 },
    async ({ world }) => {
      const { primary, second } = await makeTrio(world);
      await untilCaughtUp(primary, 's2');
      primary.configure({ archive_mode: 'off' });
      await primary.restart();
      const lost: string[] = [];
      for (let each = 0; each < 3; each++) {
        await addRows(primary, 10);
        lost.push(await primary.switchWal());
      }
      primary.configure({ archive_mode: 'on' });
      // The checkpoint of the stop removes what nothing keeps.
      await primary.restart();
      for (const name of lost) rmSync(join(primary.pgdata, 'pg_wal', name), { force: true });
      await archiveSegments(primary, 1);
      const gap = await untilGap(primary);
      const { first = '', last = '' } = gap?.missing[0] ?? {};
      expect(first).toBe(lost[0]);
      expect(last >= (lost[2] ?? 'F')).toBe(true);
      const sentence = `standby s2 lacks ${first} to ${last} and they exist nowhere here`;
      await eventually(() =>
        primary.host
          .notifications()
          .some(({ severity, message }) => severity === 'critical' && message.startsWith(sentence)),
      );
      const listing = await world.cmdStandby(second, ['--wal']);
      expect(listing.stdout).toContain(`${first} to ${last}`);
      expect(listing.stdout).toMatch(/needs a new base backup/);
      expect((await world.cmdStandby(second, [])).stderr).toContain(`${first} to ${last}`);
      await archiveSegments(primary, 1);
      expect(primary.logText()).toContain(sentence);
      expectExit(await world.cmdArchiver(primary, []), 0);

      expectExit(await world.cmdStandby(second, ['-A', 'stop']), 0);
      expectExit(await world.cmdStandby(second, ['-B']), 0);
      expectExit(await world.cmdStandby(second, ['-S']), 0);
      // The shipper asks once a minute.
      await world.cmdArchiver(primary, ['--flush']);
      await eventually(() => laneState(primary, 's2').gap === undefined, {
        limitMs: 120_000,
        what: 'no gap',
      });
      await eventually(() =>
        primary.host.notifications().some(({ message }) => /s2 lacks no WAL any more/.test(message)),
      );
    },
  );

  test(
    'because it has another file of that name: a conflict that stops no delivery',
    { timeout: 480_000 },
    async ({ world }) => {
      const { primary, first, second } = await makeTrio(world);
      await untilCaughtUp(primary, 's2');
      const { failed } = await primary.archiver();
      const addAgain = dropSlave(primary, 's2');
      // A process that does not end keeps the lane: archiving waits for nobody whom slaves does not name.
      const lock = join(primary.lArchiveDir, '.archiver', 's2.lock');
      const holder = start('/usr/bin/flock', [lock, 'sleep', '600'], { limitMs: 600_000 });
      world.onClose(async () => {
        holder.killFamily();
        await holder.finished;
      });
      const unseen = await archiveSegments(primary, 3);
      for (const name of unseen) await first.received(name);
      expect(laneState(primary, 's2').caughtUp).toBeUndefined();
      expect((await primary.archiver()).failed).toBe(failed);
      holder.killFamily();
      await holder.finished;

      // The size is right, and the cluster.
      const [wrong = '', other = ''] = unseen;
      copyFileSync(join(first.archiveDir, other), join(second.archiveDir, wrong));
      addAgain();
      for (const name of unseen.slice(1)) await second.received(name);
      expect((await untilGap(primary))?.conflicts?.map(({ name }) => name)).toEqual([wrong]);
      const [next = ''] = await archiveSegments(primary, 1);
      await second.received(next);
      expect(primary.queue('s2')).toEqual([]);
      expect((await world.cmdArchiver(primary, [])).stderr).toContain(
        `standby s2 holds another file under the name of WAL that it lacks, which is not replaced: ${wrong}`,
      );

      rmSync(join(second.archiveDir, wrong));
      await world.cmdArchiver(primary, ['--flush']);
      await second.received(wrong);
      expect(second.archivedBytes(wrong).equals(first.archivedBytes(wrong))).toBe(true);
      await eventually(() => laneState(primary, 's2').gap === undefined, {
        limitMs: 120_000,
        what: 'no gap',
      });
    },
  );
});
