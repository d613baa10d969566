import { expect, test } from 'vitest';
import { isReadToEnd, lastCommitTime } from '../../../../src/standby/archive/last-commit.ts';

test.each([
  ['10 and later', 'desc: COMMIT 2026-05-28 11:00:38.059389 UTC; inval msgs'],
  ['9.3 and 9.4', 'bkp: 0000, desc: commit: 2026-05-28 11:00:38.059389 UTC'],
  ['10 and later for a prepared transaction', 'desc: COMMIT_PREPARED 745: 2026-05-28 11:00:38.059389 UTC'],
  ['9.3 and 9.4 for one', 'bkp: 0000, desc: commit prepared 745: 2026-05-28 11:00:38.059389 UTC'],
])('the last commit is found in the output of %s', (_, line) => {
  const earlier = line.replace('11:00', '10:00');
  const printed = `${earlier}\n${line}\nrmgr: Transaction desc: ABORT 2026-05-28 12:00:00.000000 UTC\n`;
  expect(lastCommitTime(printed)).toBe(BigInt(Date.UTC(2026, 4, 28, 11, 0, 38)) * 1000n + 59_389n);
  expect(lastCommitTime('')).toBeUndefined();
});

test('the WAL is read to its end only if the program says so', () => {
  const exited = (code: number, stderr: string) => ({ kind: 'exited', code, stdout: '', stderr }) as const;
  const end =
    'pg_waldump: error: error in WAL record at 0/50329A8: invalid record length at 0/50329E0: wanted 24, got 0';
  expect(isReadToEnd(exited(1, end))).toBe(true);
  expect(isReadToEnd(exited(0, ''))).toBe(true);
  expect(isReadToEnd(exited(1, 'pg_waldump: error: could not find a valid record after 0/5000000'))).toBe(
    false,
  );
  expect(isReadToEnd({ kind: 'timed-out', limitMs: 1, stdout: '', stderr: end })).toBe(false);
});
