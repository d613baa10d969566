import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { testMajors } from '../harness/postgres-programs.ts';
import { type Running, sendSignal } from '../harness/processes.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { type Duo, hasRows, insertRows, isPrimary, makeDuo, record } from './switchover-kit.ts';
import {
  expectWholeSegments,
  lostWrites,
  makeWritesTable,
  startWriters,
  writesBeside,
} from './writers-kit.ts';

test.override({ major: testMajors().at(-1) ?? 15 });

const seed = testSeed();
const isLong = process.env['PITRTOOLS_TEST_LONG'] !== undefined;
/** A hundred take half an hour. CI, where other campaigns go by that variable, has time for some only. */
const strikes = isLong ? 6 : Number(process.env['PITRTOOLS_TEST_STRIKES'] ?? 3);

type Random = () => number;

function pick<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[Math.floor(random() * items.length)] ?? items[0];
}

/** The steps of the outage are short: a random time seldom meets them. */
const steps = [
  'record that the switchover has begun',
  'stop the server fast',
  'bring the end of its WAL',
  'wait until the standby has replayed the end',
  "record that this host takes the primary's role",
  'see that the old primary has not been started',
  'promote the server',
  'wait until it is out of recovery',
  'see that the new timeline begins',
  'declare the old timeline left',
  'mark the archive as promoted',
  'record that the failover is finished',
  'become a standby of',
  'record that the switchover is finished',
] as const;

/** A time after the start of the run, or a time after it has begun a step. */
interface Moment {
  readonly step: string | undefined;
  readonly afterMs: number;
}

function chooseMoment(random: Random, runMs: number): Moment {
  const step = random() < 0.5 ? undefined : pick(random, steps);
  const afterMs = Math.floor(random() * (step === undefined ? runMs : 300));
  return { step, afterMs };
}

/** Whether the run has reached the moment before it ended. */
async function reach({ step, afterMs }: Moment, run: Running): Promise<boolean> {
  const state = { isOver: false };
  const end = run.finished.then(() => {
    state.isOver = true;
  });
  while (step !== undefined && !state.isOver && !new RegExp(`DEBUG: \\S+: ${step}`).test(run.output()))
    await delay(5);
  await Promise.race([end, delay(afterMs)]);
  return !state.isOver;
}

const victims = ['group', 'family', 'program'] as const;

/** 'program': its children, ssh among them, live on for as long as they like. */
function kill(run: Running, victim: (typeof victims)[number]): void {
  if (victim === 'family') run.killFamily();
  else sendSignal(victim === 'group' ? -run.pid : run.pid, 'SIGKILL');
}

/** The next standby of the primary may be of the other kind: each start as a standby goes by the INI file. */
function setStreaming({ iniFile }: Standby, streams: boolean): void {
  const text = readFileSync(iniFile, 'utf8');
  const changed = text.replace(
    /^use_streaming_replication: .*$/m,
    `use_streaming_replication: ${streams ? 'on' : 'no'}`,
  );
  writeFileSync(iniFile, changed);
}

function expectNothingTorn({ old, heir, oldAsStandby }: Duo, about: string): void {
  for (const server of [old, heir]) expectWholeSegments(join(server.pgdata, 'pg_wal'), about);
  for (const { archiveDir } of [oldAsStandby, heir])
    if (existsSync(archiveDir)) expectWholeSegments(archiveDir, about);
}

function expectNothingLeft({ old, heir }: Duo, about: string): void {
  for (const { pgdata } of [old, heir]) {
    const { switchover, stoppedFor, promotion, takesRole } = record({ pgdata });
    expect({ switchover, stoppedFor, promotion, takesRole }, `${about}: ${pgdata}`).toEqual({});
    for (const name of ['pitrtools-promoting', join('pg_wal', 'xlogtemp.pitrtools')])
      expect(existsSync(join(pgdata, name)), `${about}: ${name} in ${pgdata}`).toBe(false);
  }
}

/** A supervisor or a boot starts what is stopped, whatever it has become. */
async function startStopped({ old, heir }: Duo, random: Random): Promise<void> {
  await delay(Math.floor(random() * 500));
  for (const server of [old, heir]) {
    if (server.isRunning()) continue;
    // It is a random moment: a program that lives on may be about to start or to stop it.
    await server.start().catch(() => undefined);
  }
}

/** Starts a run, and kills it at a random moment. Returns what happened, and whether it was killed. */
async function strike(world: World, standby: Standby, random: Random, runMs: number) {
  const moment = chooseMoment(random, runMs);
  const victim = pick(random, victims);
  const run = world.startStandby(standby, ['--switchover']);
  const isKilled = await reach(moment, run);
  if (isKilled) kill(run, victim);
  const end = await run.finished;
  const what = isKilled
    ? `${victim} killed ${moment.step === undefined ? '' : `in "${moment.step}" `}after ${moment.afterMs} ms`
    : 'not killed';
  return { what, isKilled, end };
}

/** The stage that a killed run had come to. */
function stageOf(output: string): string {
  const begun = (step: string) => new RegExp(`DEBUG: \\S+: ${step}`).test(output);
  if (begun('become a standby of')) return 'turn';
  if (begun('promote the server')) return 'promotion';
  if (begun('stop the server fast')) return 'outage';
  return 'before the stop';
}

test(
  `a switchover that is killed at ${strikes} random moments is finished by the next call (seed ${seed})`,
  { timeout: 480_000 + strikes * 60_000 },
  async ({ world }) => {
    const random = createRandom(seed);
    const duo = await makeDuo(world, { streams: random() < 0.5 });
    const { old, heir, oldAsStandby } = duo;
    await makeWritesTable(old);
    const sides = [
      { server: old, standby: oldAsStandby },
      { server: heir, standby: heir },
    ] as const;
    const writers = startWriters([old, heir]);
    const stages: Record<string, number> = {};
    let rows = 0;
    let runMs = 6_000;
    for (let count = 0; count < strikes; count += 1) {
      const [former, next] = count % 2 === 0 ? sides : ([sides[1], sides[0]] as const);
      setStreaming(former.standby, random() < 0.5);
      await insertRows(former.server, 10);
      rows += 10;
      writers.take();
      const { what, isKilled, end } = await strike(world, next.standby, random, runMs);
      const about = `strike ${count}, ${next.standby.name}: ${what}`;
      const stage = isKilled ? stageOf(`${end.stdout}${end.stderr}`) : 'not killed';
      stages[stage] = (stages[stage] ?? 0) + 1;
      expectNothingTorn(duo, about);
      if (isKilled) {
        if (random() < 0.4) await startStopped(duo, random);
        const second = await world.cmdStandby(next.standby, ['--switchover']);
        // It may have been finished right before it was killed.
        const isDone = second.code === 0 || second.stderr.includes('is no standby any more');
        const said = `${end.stdout}${end.stderr}\n--- second call, exit ${String(second.code)}\n${second.stdout}${second.stderr}`;
        expect(isDone, `${about}: ${said}`).toBe(true);
        if (stage === 'before the stop') runMs = Math.max(3_000, second.ms);
      } else {
        expect(end.code, `${about}: ${end.stdout}${end.stderr}`).toBe(0);
        runMs = Math.max(3_000, end.ms);
      }
      expect(await isPrimary(next.server), about).toBe(true);
      expect(await isPrimary(former.server), about).toBe(false);
      expectNothingLeft(duo, about);
      expectNothingTorn(duo, about);
      const writes = writers.take();
      expect(writesBeside(writes, former.server, next.server), about).toEqual([]);
      expect(await lostWrites(writes, next.server), about).toEqual([]);
      expect(
        writes.some(({ by }) => by === next.server),
        about,
      ).toBe(true);
      await insertRows(next.server, 1);
      rows += 1;
      await next.server.switchWal();
      await hasRows(former.server, rows);
    }
    await writers.stop();
    console.log(`${strikes} strikes, seed ${seed}, killed at: ${JSON.stringify(stages)}`);
  },
);
