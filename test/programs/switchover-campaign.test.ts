import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { testMajors } from '../harness/postgres-programs.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import { countRows } from './standby-kit.ts';
import {
  type Duo,
  hasRows,
  insertRows,
  isPrimary,
  makeDuo,
  type Side,
  watchPrimaries,
} from './switchover-kit.ts';

test.override({ major: testMajors().at(-1) ?? 15 });

const seed = testSeed();
const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const rounds = isLong ? 100 : 4;

/** Both directions: the second host is the one that is to become the primary. */
function directions({ old, oldAsStandby, heir }: Duo) {
  return [
    { primary: old as Side, standby: heir },
    { primary: heir as Side, standby: oldAsStandby },
  ] as const;
}

test(
  `a switchover that is killed at a random moment is finished by a later call (seed ${seed})`,
  {
    timeout: isLong ? 3_600_000 : 600_000,
  },
  async ({ world }) => {
    const random = createRandom(seed);
    const duo = await makeDuo(world, { streams: random() < 0.5 });
    let rows = 0;
    let longestMs = 6_000;
    for (let round = 0; round < rounds; round += 1) {
      const { primary, standby } = directions(duo)[round % 2] ?? directions(duo)[0];
      // The handle of the standby's INI file may have another port than the server.
      const now = round % 2 === 0 ? duo.heir : duo.old;
      await insertRows(primary, 10);
      rows += 10;
      const watched = watchPrimaries([duo.old, duo.heir]);
      const killedAfterMs = Math.floor(random() * longestMs);
      const run = world.startStandby(standby, ['--switchover']);
      const first = await Promise.race([run.finished, delay(killedAfterMs).then(() => undefined)]);
      if (first === undefined) {
        run.killFamily();
        await run.finished;
      } else longestMs = Math.max(2_000, first.ms);
      const about = `round ${round}, killed after ${killedAfterMs} ms`;
      if (first?.code !== 0) {
        const second = await world.cmdStandby(standby, ['--switchover']);
        // It may have been finished before it was killed.
        const isDone = second.code === 0 || second.stderr.includes('is no standby any more');
        expect(isDone, `${about}: ${second.stdout}${second.stderr}`).toBe(true);
      }
      expect(await watched.stop(), about).toBe(0);
      expect(await isPrimary(now), about).toBe(true);
      expect(await isPrimary(primary), about).toBe(false);
      expect(await countRows(now), about).toBe(rows);
      await insertRows(now, 1);
      rows += 1;
      await now.switchWal();
      await hasRows(primary, rows);
    }
  },
);
