import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { descendantsOf } from '../../src/system/processes.ts';
import { allowedProcessors, halfOf } from '../../src/system/processors.ts';
import { sessionNiceness } from '../../src/system/session-priority.ts';
import { eventually } from '../harness/eventually.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { createServer } from '../harness/server.ts';
import { test } from '../harness/test.ts';
import { drillDirectory, expectNothingLeft, makeDrillPair, writeSql } from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

/** Of a server's processes, each of which has a session of its own. */
async function nicenessOf(postmaster: number): Promise<readonly (number | undefined)[]> {
  return Promise.all([postmaster, ...(await descendantsOf([postmaster]))].map(sessionNiceness));
}

async function processorsOf(postmaster: number): Promise<readonly string[]> {
  const pids = [postmaster, ...(await descendantsOf([postmaster]))];
  const lists = (await Promise.all(pids.map(allowedProcessors))).filter((list) => list.length > 0);
  return [...new Set(lists.map((list) => list.join()))];
}

/** At the lowest, the test would wait until nobody else needs the processor. */
const lowered = 3;
const groupsSessions = existsSync('/proc/self/autogroup');

describe.skipIf(!groupsSessions).each(newestMajors())('the priority of a drill on PostgreSQL %i', (major) => {
  test.override({ major });

  test('is that of its sessions, too, and the standby keeps its own', async ({ world }) => {
    const pair = await makeDrillPair(world, { ini: { drill_nice: lowered } });
    const { standby } = pair;
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await archiveRows(pair, 10);
    await eventually(async () => (await countRows(standby)) === 10);
    const postmaster = standby.postmaster() ?? 0;
    const [before] = await nicenessOf(postmaster);
    standby.writeIni({ drill_sql: writeSql(standby, "SELECT pg_sleep(120)::text = '';\n") });
    const running = world.startStandby(standby, ['--drill']);
    const copy = createServer({ ...standby, pgdata: join(drillDirectory(world), 'run', 'pgdata') });
    await eventually(
      async () => {
        const pid = copy.postmaster();
        const found = pid === undefined ? [] : await nicenessOf(pid);
        return found.length > 3 && found.every((niceness) => niceness === lowered);
      },
      { what: 'the lowered priority of each process of the copy' },
    );
    const all = await allowedProcessors(process.pid);
    expect(await processorsOf(copy.postmaster() ?? 0)).toEqual([halfOf(all).join()]);
    expect(await processorsOf(postmaster)).toEqual([all.join()]);
    // Its sessions with clients come and go.
    expect([...new Set(await nicenessOf(postmaster))]).toEqual([before]);
    running.signal('SIGTERM');
    expectExit(await running.finished, 6);
    expectNothingLeft(world);
  });
});
