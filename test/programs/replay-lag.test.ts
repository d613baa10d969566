import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

/** Milliseconds from the arrival of segments, one after the other, until each was replayed. */
async function replay(pair: Pair, counts: readonly number[]): Promise<number> {
  let total = 0;
  for (const rows of counts) {
    await archiveRows(pair, rows);
    const arrived = performance.now();
    await eventually(async () => (await countRows(pair.standby)) === rows, { what: `${String(rows)} rows` });
    total += performance.now() - arrived;
  }
  return total;
}

describe.each(failureMajors())('a warm standby of PostgreSQL %i', (major) => {
  test.override({ major });

  test('asks the archive far more often than a server does by itself', async ({ world }) => {
    const pair = await makePair(world);
    const { standby } = pair;
    await archiveRows(pair, 1);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 1);
    expect(await standby.value('SHOW wal_retrieve_retry_interval')).toBe('500ms');
    const oursMs = await replay(pair, [2, 3]);

    await standby.sql(`ALTER SYSTEM SET wal_retrieve_retry_interval = '5s'`);
    await standby.reload();
    await eventually(async () => (await standby.value('SHOW wal_retrieve_retry_interval')) === '5s');
    // The wait that was under way still was a short one.
    await replay(pair, [4]);
    const defaultMs = await replay(pair, [5, 6]);
    console.log(`two segments replayed in ${oursMs.toFixed(0)} ms, by default ${defaultMs.toFixed(0)} ms`);
    expect(oursMs).toBeLessThan(defaultMs);
  });
});
