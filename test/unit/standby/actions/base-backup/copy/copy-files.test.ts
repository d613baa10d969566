import { expect, test } from 'vitest';
import { judgeDeviation } from '../../../../../../src/standby/actions/base-backup/copy/copy-files.ts';

const file = { path: 'base/1/2', size: 100, isLink: false };

test.each([
  ['dropped, and not here', undefined, undefined, 'lawful'],
  ['dropped after it was copied in part', 40, undefined, 'lawful'],
  ['extended, and copied on its way', 140, 180, 'lawful'],
  ['cut, and copied before', 100, 20, 'lawful'],
  ['there, but missing here', undefined, 100, 'again'],
  ['copied in part', 40, 100, 'again'],
  ['emptied here', 0, 180, 'again'],
  ['longer here than it ever was', 200, 100, 'again'],
])('the check of the copy judges a file that was %s', (_what, here, now, verdict) => {
  expect(judgeDeviation({ file, here }, now)).toBe(verdict);
});
