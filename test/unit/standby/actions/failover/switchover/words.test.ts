import { expect, test } from 'vitest';
import { describeOutage } from '../../../../../../src/standby/actions/failover/switchover/report.ts';

test('the outage is described in its parts', () => {
  const moments = { stopping: 1000, stopped: 2500, replayed: 2600, open: 4000 };
  expect(describeOutage(moments)).toBe(
    'Nobody took writes for 3.0 s: the stop took 1.5 s, the last WAL 0.1 s, the promotion 1.4 s',
  );
});

test('the outage is unknown to a run that did not see all of it', () => {
  expect(describeOutage({ stopping: 1, stopped: 2, replayed: 3 })).toBeUndefined();
});
