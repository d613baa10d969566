import { expect, test } from 'vitest';
import type { SwitchoverRun } from '../../../../../../src/standby/actions/failover/switchover/run.ts';
import { switchoverSteps } from '../../../../../../src/standby/actions/failover/switchover/steps.ts';
import { changeRecord, readRecord } from '../../../../../../src/standby/host/backup-record/record.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';

const begun = { primary: 'a', timeline: 1, token: 'first', stopped: [] };

/** A second run, for which the old primary was not started again, because it is stopped for this host. */
async function undone(heldBy: string) {
  const pgdata = temporaryDirectory();
  await changeRecord(pgdata, { switchover: begun });
  const said: string[] = [];
  const log = {
    notice: () => undefined,
    warning: (text: string) => said.push(`warning: ${text}`),
    error: (text: string, { hint = '' } = {}) => said.push(`error: ${text}; ${hint}`),
  };
  const peer = {
    host: 'a',
    command: { program: '/p/cmd_standby', iniFile: '/i' },
    callAnew: () => Promise.resolve({ heldBy }),
  };
  const run = {
    server: { deps: { log, nonce: () => 'second' }, pgdata },
    peer,
    systemIdentifier: '7',
    token: 'second',
    begun,
    publicName: 'b',
    opening: 'not begun',
    stoppedBefore: [],
    primary: 'unknown',
  } as unknown as SwitchoverRun;
  const step = { kind: 'record-switchover', host: 'a', timeline: 1 } as const;
  await switchoverSteps['record-switchover'].run(run, step);
  await switchoverSteps['stop-primary'].undo?.(run, { host: 'a', timeline: 1 });
  await switchoverSteps['record-switchover'].undo?.(run, step);
  return { said, record: (await readRecord(pgdata)).switchover };
}

test('a primary that an earlier run of this host has stopped is not forgotten', async () => {
  const { said, record } = await undone('b');
  expect(record).toEqual(begun);
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/^error: an earlier run of this host has stopped .* no server takes writes; /);
  expect(said[0]).toContain("--serve 'resume-primary 1 7 first'");
});

test('one that is stopped for another host is left to that one', async () => {
  const { said, record } = await undone('c');
  expect(record).toBeUndefined();
  expect(said[0]).toMatch(/^warning: .* another run has stopped it, for a switchover to c$/);
});
