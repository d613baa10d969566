import { expect, test } from 'vitest';
import type { Course } from '../../../../../../src/standby/actions/failover/drill/drilling.ts';
import { rpoOf } from '../../../../../../src/standby/actions/failover/drill/report.ts';

/** The last commit was at second 1000 of the primary's clock. */
function courseAt(seconds: number): Course {
  const replayed = { lsn: 0x5000000n, time: 1_000_000_000n };
  return {
    startedMs: 0,
    phases: [],
    checks: [],
    opened: { replayed } as Course['opened'],
    primary: { lsn: '0/5000060', atMs: seconds * 1000 },
  };
}

test('a clock here that is behind the one of the primary does not make what is missing one of no time', () => {
  expect(rpoOf(courseAt(1010))).toMatchObject({ bytes: 96, seconds: 10 });
  expect(rpoOf(courseAt(990))).toMatchObject({ bytes: 96 });
  expect(rpoOf(courseAt(990))).not.toHaveProperty('seconds');
});
