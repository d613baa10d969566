import { expect, test } from 'vitest';
import type { DrillReport } from '../../../../src/standby/drill/record.ts';
import { describeDrill } from '../../../../src/standby/drill/show.ts';

const report = {
  result: 'failed',
  copy: 'stopped',
  phases: [],
  checks: [],
  failure: { message: 'segment 000000010000000000000004 is missing' },
} as unknown as DrillReport;

function rpoOf(rpo: DrillReport['rpo']): string | undefined {
  return describeDrill({ ...report, rpo }).find((line) => line.startsWith('RPO'));
}

test('a drill that failed before it opened its copy does not say that the primary was not asked', () => {
  expect(rpoOf({ primaryLsn: '0/5000000' })).toBe(
    "RPO: not determined (it is not known how far the copy has replayed; the primary's WAL ended at LSN 0/5000000); last commit not determined",
  );
  expect(rpoOf({})).toBe(
    "RPO: not determined (the end of the primary's WAL is not known); last commit not determined",
  );
  expect(rpoOf({ primaryLsn: '0/5000000', bytes: 0, seconds: 0 })).toContain('nothing of the primary');
});

test('the time since the last commit is not said to be lost', () => {
  expect(rpoOf({ primaryLsn: '0/5000060', bytes: 96, seconds: 7200 })).toContain(
    'are missing, of the last 2 h 0 min at most;',
  );
});
