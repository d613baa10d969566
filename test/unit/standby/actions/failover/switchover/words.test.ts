import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { finishHint } from '../../../../../../src/standby/actions/failover/finishing-steps.ts';
import { describeOutage } from '../../../../../../src/standby/actions/failover/switchover/report.ts';
import type { StandbyDeps } from '../../../../../../src/standby/deps.ts';

test('the outage is described in its parts', () => {
  const moments = { stopping: 1000, stopped: 2500, replayed: 2600, open: 4000 };
  expect(describeOutage(moments)).toBe(
    'Nobody took writes for 3.0 s: the stop took 1.5 s, the last WAL 0.1 s, the promotion 1.4 s',
  );
});

test('the outage is unknown to a run that did not see all of it', () => {
  expect(describeOutage({ stopping: 1, stopped: 2, replayed: 3 })).toBeUndefined();
});

test('hints name the action that was called', () => {
  const called = (calledAs?: '--switchover') => ({ calledAs }) as unknown as StandbyDeps;
  expect(finishHint(called())).toContain('Run -F999 again');
  expect(finishHint(called('--switchover'))).toContain('Run --switchover again');
});

test('no step that both actions take names one of them in its hint', () => {
  const directory = 'src/standby/actions/failover';
  // The fence and the report are only those of -F999.
  const own = ['fence.ts', 'report.ts'];
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts') && !own.includes(name));
  expect(files).toContain('finishing-steps.ts');
  const naming = files.filter((name) => /run -F999 again/i.test(readFileSync(join(directory, name), 'utf8')));
  expect(naming).toEqual([]);
});
