import { expect, test } from 'vitest';
import { lineOf } from '../../../../../../src/standby/actions/base-backup/progress/progress-bar.ts';
import type { ProgressState } from '../../../../../../src/standby/actions/base-backup/progress/progress-state.ts';

const gigabyte = 1024 ** 3;
const state: ProgressState = {
  phase: 'data',
  planned: { bytes: 850 * gigabyte, files: 123_456 },
  done: { bytes: 425 * gigabyte, files: 61_728 },
  recent: [{ bytes: 424 * gigabyte, files: 61_000, atMs: 0 }],
};

test('a progress line that is too long loses whole words, and the remaining time is the last to go', () => {
  const line = (columns: number) => lineOf(state, columns, 10_000);
  const full = line(200);
  expect(full).toMatch(
    /^Base backup: data \[#{12}\.{12}\] 50 % .* of .*, 61728 of 123456 files, .*\/s, .* left$/,
  );
  for (let columns = 40; columns <= full.length; columns++) {
    expect(line(columns).length).toBeLessThanOrEqual(columns);
    expect(line(columns)).toMatch(/^Base backup: data (\[#{12}\.{12}\] )?50 % (.*, )?[\dhms :]+[^,]* left$/);
  }
  expect(line(79)).toMatch(/\/s, .* left$/);
  expect(line(20)).toBe('50 %');
});
