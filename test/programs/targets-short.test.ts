import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { holdRestore } from './hold-restore.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

/** -F999 to a moment after 20 rows, while the server waits for the segment with the last ten of these. */
async function recoverHalfWay(world: World, action: string) {
  const pair = await makePair(world);
  const { primary, standby } = pair;
  // More than a server of 15 or later reads ahead: it has replayed the base backup when it waits for the segment.
  await primary.sql('CREATE TABLE filler AS SELECT generate_series(1, 50000) AS n');
  await archiveRows(pair, 10);
  const middle = await archiveRows(pair, 20);
  const moment = await primary.value('SELECT clock_timestamp()::text');
  await archiveRows(pair, 30);
  await primary.kill9();
  const hold = holdRestore(standby.host, middle);
  const args = ['-F999', '-R', moment, '--target-action', action];
  const running = world.startStandby(standby, args, { variables: { PATH: hold.path } });
  await eventually(hold.isHeld, { what: `the restore of ${middle}` });
  return { standby, running, hold, args };
}

describe.each(failureMajors())('a recovery on PostgreSQL %i that ends before its target', (major) => {
  test.override({ major });

  test('because an operator stops the server is not said to have shut down there', async ({ world }) => {
    const { standby, running, hold, args } = await recoverHalfWay(world, 'shutdown');
    await standby.stop('fast');
    hold.release();
    const run = await running.finished;
    expectExit(run, 1);
    expect(run.stderr).toContain('the server was stopped before the target');
    expectExit(await world.cmdStandby(standby, args), 0);
  });

  test('because an operator pauses the replay is not said to have paused there', async ({ world }) => {
    const { standby, running, hold, args } = await recoverHalfWay(world, 'pause');
    await eventually(() => standby.inRecovery().catch(() => false), {
      what: 'a server that answers',
      limitMs: 20_000,
    });
    await standby.sql('SELECT pg_wal_replay_pause()');
    // A request counts at once, and the server reads nothing more until the segment is there.
    const run = await running.finished;
    hold.release();
    expectExit(run, 1);
    expect(run.stderr).toContain('replay was paused before the target');
    expectExit(await world.cmdStandby(standby, args), 0);
    expect(await countRows(standby)).toBe(20);
  });
});
