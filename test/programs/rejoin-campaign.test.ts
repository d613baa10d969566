import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { debianMajor, failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { familyOf, processTable } from '../harness/process-table.ts';
import type { Finished, Running } from '../harness/processes.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { countRows, expectExit, writeSentinelFor } from './standby-kit.ts';
import {
  type Duo,
  hasRows,
  insertRows,
  isPrimary,
  makeDuo,
  stateOf,
  watchPrimaries,
} from './switchover-kit.ts';

const seed = testSeed();
const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const few = 3;
/** A run of all tests has no time for more. */
const strikes = isLong ? few : Number(process.env['PITRTOOLS_TEST_STRIKES'] ?? few);

/** PostgreSQL of Debian, which has pg_rewind, and a packaged one without it. */
const majors = [...new Set([debianMajor(), ...failureMajors().slice(-1)])];

/** One host in both roles. Its server is asked by the first handle: the second one may have another port. */
interface Side {
  readonly asPrimary: Primary;
  readonly asStandby: Standby;
}

function sidesOf({ old, oldAsStandby, heir, heirAsPrimary }: Duo): readonly [Side, Side] {
  return [
    { asPrimary: old, asStandby: oldAsStandby },
    { asPrimary: heirAsPrimary, asStandby: heir },
  ];
}

function pick<T>(random: () => number, items: readonly [T, ...T[]]): T {
  return items[Math.floor(random() * items.length)] ?? items[0];
}

/** The role goes to the other host, with or without WAL that only the former primary has. */
async function failOver(world: World, from: Side, to: Side, random: () => number): Promise<string> {
  const how = pick(random, ['all was sent', 'stopped ahead', 'crashed ahead', 'crashed ahead'] as const);
  if (how !== 'all was sent') {
    await to.asPrimary.stop();
    await insertRows(from.asPrimary, 20);
  }
  if (how === 'crashed ahead' || random() < 0.5) await from.asPrimary.kill9();
  else await from.asPrimary.stop();
  if (how !== 'all was sent') await to.asPrimary.start();
  expectExit(await world.cmdStandby(to.asStandby, ['-F999']), 0);
  expectExit(await world.cmdArchiver(to.asPrimary, ['-I']), 0);
  await insertRows(to.asPrimary, 5);
  if (random() < 0.3) {
    // Its WAL from before the fork is recycled.
    for (let count = 0; count < 3; count += 1) {
      await to.asPrimary.switchWal();
      await to.asPrimary.sql('CHECKPOINT');
    }
  }
  return how;
}

const steps = [
  'offer ',
  'note in the archive',
  'write into',
  'make a checkpoint',
  'make the files in',
  'write the recovery settings',
  'take WAL of a primary again',
  'put the files back',
  'make it impossible',
  'put pg_control into place',
  'start the server',
  'wait until it is seen',
] as const;

/** A moment of the run: so long after its beginning, or after it has said this. */
interface Moment {
  readonly after: string | undefined;
  readonly ms: number;
}

function chooseMoment(random: () => number, longestMs: number): Moment {
  const after = random() < 0.6 ? steps[Math.floor(random() * steps.length)] : undefined;
  return { after, ms: Math.floor(random() * (after === undefined ? longestMs : 80)) };
}

/** Kills the run, and sees all that it has begun ended but for a server. Returns its result if it was too late. */
async function killAt(running: Running, moment: Moment, random: () => number): Promise<Finished | undefined> {
  let finished: Finished | undefined;
  void running.finished.then((run) => (finished = run));
  const { after } = moment;
  if (after !== undefined) {
    await eventually(() => finished !== undefined || running.output().includes(after), {
      limitMs: 120_000,
      everyMs: 5,
    });
  }
  await Promise.race([running.finished, delay(moment.ms)]);
  if (finished !== undefined) return finished;
  const family = familyOf(running.pid);
  // What it has begun may continue.
  if (random() < 0.3) running.signal('SIGKILL');
  else running.killFamily();
  await running.finished;
  const isOurs = ({ commandLine }: { commandLine: string }) => !/\bpostgres(: | -D)/.test(commandLine);
  const begun = new Set(family.filter(isOurs).map(({ pid }) => pid));
  await eventually(() => !processTable().some(({ pid }) => begun.has(pid)), { limitMs: 120_000 });
  return undefined;
}

/**
 * Nothing is startable that is incomplete: no server starts, or one that recovers, or all files are still those of the
 * former primary.
 */
async function expectNothingHalf(former: Primary, random: () => number, about: string): Promise<void> {
  const has = (...path: string[]) => existsSync(join(former.pgdata, ...path));
  if (former.isRunning()) return;
  const isWhole = has('PG_VERSION') && has('global', 'pg_control');
  const recovers = ['standby.signal', 'recovery.signal', 'recovery.conf', 'backup_label'].some((name) =>
    has(name),
  );
  if (isWhole && !recovers) {
    expect(['in-production', 'shut-down'], about).toContain(stateOf(former));
    return;
  }
  if (random() < 0.5) return;
  // A supervisor may start it.
  await former.start().catch(() => undefined);
  if (!isWhole) expect(former.isRunning(), about).toBe(false);
  else if (former.isRunning()) expect(await isPrimary(former).catch(() => false), about).toBe(false);
}

describe.each(majors)('a --rejoin of PostgreSQL %i that is killed', (major) => {
  test.override({ major });

  test(
    `at ${strikes} random moments leaves nothing half that starts, and the next call ends well (seed ${seed})`,
    { timeout: 600_000 + strikes * 120_000 },
    async ({ world }) => {
      const random = createRandom(seed + major);
      const streams = random() < 0.6;
      const duo = await makeDuo(world, { streams, cluster: { checksums: true } });
      let [primary, standby] = sidesOf(duo);
      writeSentinelFor(duo.oldAsStandby, duo.old);
      const counts = new Map<string, number>();
      const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
      let longestMs = 8_000;
      const wasHit = () => (counts.get('killed') ?? 0) > 0;
      // A few moments may all come too late.
      for (let strike = 0; strike < strikes || (!wasHit() && strike < strikes + 10); strike += 1) {
        await insertRows(primary.asPrimary, 10);
        await primary.asPrimary.switchWal();
        await hasRows(standby.asPrimary, await countRows(primary.asPrimary));
        const how = await failOver(world, primary, standby, random);
        [primary, standby] = [standby, primary];
        const { asPrimary: former, asStandby } = standby;
        const rows = await countRows(primary.asPrimary);
        const { host, port } = primary.asPrimary;
        const call = ['--rejoin', `${host.address}:${port}`];
        const watched = watchPrimaries([primary.asPrimary, former]);
        const moments: string[] = [];
        let whole: Finished | undefined;
        for (let kills = random() < 0.3 ? 2 : 1; kills > 0 && whole === undefined; kills -= 1) {
          const moment = chooseMoment(random, longestMs);
          moments.push(`${moment.ms} ms after ${moment.after ?? 'the begin'}`);
          const running = world.startStandby(asStandby, call);
          whole = await killAt(running, moment, random);
          const way = /^Way: (nothing|pg_rewind|a base backup)/m.exec(running.output())?.[1];
          if (way !== undefined) count(way);
          if (whole !== undefined) longestMs = Math.max(2_000, whole.ms);
          await expectNothingHalf(former, random, moments.join(', then '));
        }
        const about = `strike ${strike}: ${how}, streams ${streams}, killed ${moments.join(', then ')}`;
        const last = whole ?? (await world.cmdStandby(asStandby, call));
        count(whole === undefined ? 'killed' : 'too late');
        expect(last.code, `${about}\n${last.stdout}${last.stderr}\n${serverLog(former)}`).toBe(0);
        expect(last.stdout, about).toMatch(/^Follows /m);
        expect(await watched.stop(), about).toBe(0);
        for (const name of ['pitrtools-rewinding', 'pitrtools-rewind-phase'])
          expect(existsSync(join(former.pgdata, name)), about).toBe(false);
        await insertRows(primary.asPrimary, 1);
        await primary.asPrimary.switchWal();
        await hasRows(former, rows + 1);
        // It follows before it answers queries.
        expect(await isPrimary(former), about).toBe(false);
      }
      console.log(`PostgreSQL ${major}, seed ${seed}: ${JSON.stringify(Object.fromEntries(counts))}`);
      expect(wasHit()).toBe(true);
    },
  );
});

function serverLog({ log }: Primary): string {
  return existsSync(log) ? readFileSync(log, 'utf8').slice(-3_000) : '';
}
