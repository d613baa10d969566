import { expect, test } from 'vitest';
import type { SwitchoverRun } from '../../../../../../src/standby/actions/failover/switchover/run.ts';
import { switchoverSteps } from '../../../../../../src/standby/actions/failover/switchover/steps.ts';
import { informPrimary } from '../../../../../../src/standby/actions/failover/switchover/turn.ts';

const marks = [
  { timeline: 1, lsn: 0x3000000n, by: 'x' },
  { timeline: 2, lsn: 0x5000100n, by: 'b' },
];

function runWith(left: SwitchoverRun['left'], answer: () => Promise<unknown>) {
  const asked: unknown[] = [];
  const warnings: string[] = [];
  const peer = {
    host: 'a',
    callAnew: (name: string, args: unknown) => {
      asked.push([name, args]);
      return answer();
    },
  };
  const deps = {
    hostName: 'b',
    signal: new AbortController().signal,
    log: { warning: (text: string) => warnings.push(text) },
  };
  return {
    run: { peer, systemIdentifier: '7', publicName: 'b', left, server: { deps } } as unknown as SwitchoverRun,
    asked,
    warnings,
  };
}

test('the old primary is informed that its timeline was left', async () => {
  const { run, asked, warnings } = runWith({ marks, problem: undefined }, () => Promise.resolve({}));
  await informPrimary(run);
  expect(asked).toEqual([['mark-left', { timeline: 2, lsn: 0x5000100n, host: 'b', cluster: '7' }]]);
  expect(warnings).toEqual([]);
});

test('an old primary that cannot be informed keeps nothing else from being done', async () => {
  const { run, warnings } = runWith({ marks, problem: undefined }, () =>
    Promise.reject(new Error('no route')),
  );
  await informPrimary(run);
  expect(warnings).toEqual(['the old primary on a could not be informed that timeline 2 was left: no route']);
});

test('the plan says that it is informed', () => {
  const { run } = runWith(undefined, () => Promise.reject(new Error('not used')));
  const siblings = { list: undefined } as unknown as Parameters<
    (typeof switchoverSteps)['declare-left']['say']
  >[0]['siblings'];
  expect(switchoverSteps['declare-left'].say({ siblings }, run)).toMatch(/^b: declare .*; and inform a$/);
});
