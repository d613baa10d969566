import { expect, test } from 'vitest';
import { lastCommitTime } from '../../../../src/standby/archive/last-commit.ts';

test.each([
  ['10 and later', 'desc: COMMIT 2026-05-28 11:00:38.059389 UTC; inval msgs'],
  ['9.3 and 9.4', 'bkp: 0000, desc: commit: 2026-05-28 11:00:38.059389 UTC'],
])('the last commit is found in the output of %s', (_, line) => {
  const earlier = line.replace('11:00', '10:00');
  const printed = `${earlier}\n${line}\nrmgr: Transaction desc: ABORT 2026-05-28 12:00:00.000000 UTC\n`;
  expect(lastCommitTime(printed)).toBe(BigInt(Date.UTC(2026, 4, 28, 11, 0, 38)) * 1000n + 59_389n);
  expect(lastCommitTime('')).toBeUndefined();
});
