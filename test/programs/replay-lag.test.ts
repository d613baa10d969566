import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

describe.each(failureMajors())('a warm standby of PostgreSQL %i', (major) => {
  test.override({ major });

  test('asks the archive twice per second, and replays each segment that arrives', async ({ world }) => {
    const pair = await makePair(world);
    const { standby } = pair;
    await archiveRows(pair, 1);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(async () => (await countRows(standby)) === 1);
    expect(await standby.value('SHOW wal_retrieve_retry_interval')).toBe('500ms');
    for (const rows of [2, 3]) {
      await archiveRows(pair, rows);
      await eventually(async () => (await countRows(standby)) === rows, { what: `${String(rows)} rows` });
    }
  });
});
