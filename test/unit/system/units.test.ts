import { expect, test } from 'vitest';
import { unitIn } from '../../../src/system/units.ts';

test.each([
  ['0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n', 'postgresql@15-main.service'],
  ['1:name=systemd:/system.slice/postgresql-15.service\n0::/other\n', 'postgresql-15.service'],
  ['0::/user.slice/user-1000.slice/session-3.scope\n', undefined],
  ['0::/system.slice/ssh.service\n', undefined],
  ['', undefined],
])('the unit in %j is %s', (cgroup, unit) => {
  expect(unitIn(cgroup)).toBe(unit);
});
