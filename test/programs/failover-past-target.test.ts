import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { holdRestore } from './hold-restore.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

describe.each(failureMajors())('a recovery whose cmd_standby was killed, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('continues past its target to the end of the WAL with -F999 --force', async ({ world }) => {
    const pair = await makePair(world);
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    const middle = await archiveRows(pair, 20);
    const moment = await primary.value('SELECT clock_timestamp()::text');
    await archiveRows(pair, 30);
    await primary.kill9();

    const hold = holdRestore(standby.host, middle);
    const args = ['-F999', '-R', moment, '--target-action', 'pause'];
    const running = world.startStandby(standby, args, { variables: { PATH: hold.path } });
    await eventually(hold.isHeld, { what: `the restore of ${middle}` });
    running.signal('SIGKILL');
    await running.finished;
    const refused = await world.cmdStandby(standby, ['-F999']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('recovering to a target that it has not reached yet');

    const forced = world.startStandby(standby, ['-F999', '--force']);
    await eventually(() => forced.output().includes('wait until it is out of recovery'));
    hold.release();
    expectExit(await forced.finished, 0);
    expect(await countRows(standby)).toBe(30);
  });
});
