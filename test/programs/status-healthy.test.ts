import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { clientProgram, failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { mustRun, start } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { findingsOf, healthyPair, type Look, lookOf } from './status-kit.ts';

test.override({ major: failureMajors().at(-1) ?? 15 });

/** Seconds without a load, and as many with it. */
const healthyS = Number(process.env['PITRTOOLS_TEST_HEALTHY_S'] ?? 120);

/** A machine that is very busy may not answer within the limits of a view, which says so: that must pass. */
async function expectNothingFound(look: Look): Promise<void> {
  const found = await findingsOf(look);
  expect(found.filter(({ level }) => level !== 'unknown')).toEqual([]);
  if (found.length > 0)
    await eventually(async () => (await findingsOf(look)).length === 0, { what: 'an answer in time' });
}

function placeOf({ socketDirectory, port, user }: Primary): string[] {
  return ['-h', socketDirectory, '-p', String(port), '-U', user];
}

function startLoad(primary: Primary) {
  return start(
    clientProgram('pgbench'),
    ['-n', '-c', '2', '-T', String(healthyS), '--rate', '200', ...placeOf(primary), 'postgres'],
    { env: primary.env, limitMs: healthyS * 1000 + 120_000 },
  );
}

test(
  'on a healthy pair --status of both programs finds nothing, without a load and with pgbench',
  { timeout: healthyS * 2000 + 300_000 },
  async ({ world }) => {
    const hosts = await healthyPair(world);
    const { primary } = hosts;
    const looks = [lookOf(hosts, 'cmd_archiver'), lookOf(hosts, 'cmd_standby')];
    const watch = async () => {
      let views = 0;
      for (const end = performance.now() + healthyS * 1000; performance.now() < end; views += 1) {
        for (const look of looks) await expectNothingFound(look);
        await delay(2_000);
      }
      expect(views).toBeGreaterThan(0);
    };
    // A server that has just begun to stream may not have said so.
    for (const look of looks)
      await eventually(async () => (await findingsOf(look)).length === 0, { what: 'a healthy pair' });
    await watch();
    await mustRun(clientProgram('pgbench'), ['-q', '-i', '-s', '2', ...placeOf(primary), 'postgres'], {
      env: primary.env,
    });
    const load = startLoad(primary);
    await watch();
    expect((await load.finished).code).toBe(0);
    expect(existsSync(join(primary.lArchiveDir, 'standby1'))).toBe(true);
  },
);
