import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { formatLsn, parseLsn } from '../../src/postgres/lsn.ts';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { createWorld, type World } from '../harness/world.ts';
import { expectExit, makePair } from './standby-kit.ts';

const major = testMajors().at(-1) ?? 15;
const seed = testSeed();
/** Thirty take a quarter of an hour. */
const rounds = Number(process.env['PITRTOOLS_TEST_LOSSES'] ?? 2);
const segmentBytes = 16 * 1024 * 1024;

interface Round {
  readonly streams: boolean;
  /** WAL per second, about. */
  readonly loadBytes: number;
  readonly beforeMs: number;
  readonly afterMs: number;
}

function chooseRound(random: () => number, index: number): Round {
  return {
    streams: index % 2 === 0,
    loadBytes: 100_000 * 40 ** random(),
    beforeMs: 1_000 + 4_000 * random(),
    afterMs: 1_500 * random(),
  };
}

interface Loss {
  readonly reach: string;
  readonly primaryEnd: string;
  readonly bytes: number;
  readonly isAtMost: boolean;
}

/** Writes until the server dies. */
async function writeRows(primary: Awaited<ReturnType<typeof makePair>>['primary'], loadBytes: number) {
  const everyMs = 20;
  const length = Math.round((loadBytes * everyMs) / 1000);
  await primary
    .withSession(async (client) => {
      for (;;) {
        // Text that cannot be compressed is written as it is.
        await client.query(
          `INSERT INTO load SELECT string_agg(md5(random()::text), '') FROM generate_series(1, $1::int)`,
          [Math.max(1, Math.round(length / 32))],
        );
        await delay(everyMs);
      }
    })
    .catch(() => undefined);
}

/** The last record of all WAL that a killed server has written, found by its own recovery. */
async function lastOfKilled(primary: Awaited<ReturnType<typeof makePair>>['primary']): Promise<bigint> {
  primary.configure({ archive_mode: 'off', port: primary.port });
  const before = primary.logText().length;
  await primary.start();
  const redone = /redo (?:done at ([0-9A-F]+\/[0-9A-F]+)|is not required)/g;
  const [, text] = [...primary.logText().slice(before).matchAll(redone)].at(-1) ?? [];
  // It writes the checkpoint of its recovery behind the last record.
  const end = text ?? (await primary.value('SELECT redo_lsn FROM pg_control_checkpoint()'));
  await primary.stop('immediate');
  return parseLsn(end);
}

/** Where the promoted server left its old timeline. */
async function forkOf(pgdata: string): Promise<bigint> {
  const file = join(pgdata, 'pg_wal', '00000002.history');
  const line = await eventually(() => /^1\t([0-9A-F]+\/[0-9A-F]+)/m.exec(readFileSync(file, 'utf8'))?.[1], {
    what: file,
  });
  return parseLsn(line);
}

async function runRound(world: World, { streams, loadBytes, beforeMs, afterMs }: Round) {
  const pair = await makePair(world, {
    ini: { debug: 'off', ...(streams ? { use_streaming_replication: 'on' } : {}) },
  });
  const { primary, standby } = pair;
  await primary.sql('CREATE TABLE load (text text)');
  await primary.switchWal();
  expectExit(await world.cmdStandby(standby, ['-S']), 0);
  const writing = writeRows(primary, loadBytes);
  await delay(beforeMs);
  const look = await world.cmdStandby(standby, ['--status', '--json']);
  expectExit(look, 0);
  await delay(afterMs);
  await primary.kill9();
  await writing;
  expectExit(await world.cmdStandby(standby, ['-F999'], { limitMs: 120_000 }), 0);
  const fork = await forkOf(standby.pgdata);
  const end = await lastOfKilled(primary);
  const { loss } = (JSON.parse(look.stdout) as { facts: { loss: { value?: Loss; unknown?: string } } }).facts;
  if (loss.value === undefined) throw new Error(`no estimate: ${loss.unknown ?? look.stdout}`);
  const { bytes, primaryEnd, isAtMost } = loss.value;
  return {
    estimate: bytes,
    isAtMost,
    madeSince: Number(end - parseLsn(primaryEnd)),
    // That is where its last record begins.
    lost: Math.max(0, Number(end - fork)),
    seen: { ...loss.value, end: formatLsn(end), fork: formatLsn(fork) },
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

test(
  `a failover loses no more than --status said and what was written since (${rounds} times, seed ${seed})`,
  { timeout: rounds * 180_000 },
  async () => {
    const random = createRandom(seed);
    const tooHigh: number[] = [];
    for (let index = 0; index < rounds; index += 1) {
      const chosen = chooseRound(random, index);
      const world = await createWorld({ major });
      try {
        const found = await runRound(world, chosen);
        const about = JSON.stringify({ index, chosen, found });
        expect(found.isAtMost, about).toBe(true);
        expect(found.lost, about).toBeLessThanOrEqual(found.estimate + found.madeSince);
        tooHigh.push(found.estimate - found.lost);
        console.log(about);
      } finally {
        await world.close();
      }
    }
    expect(median(tooHigh)).toBeLessThanOrEqual(segmentBytes);
  },
);
