import { expect, test } from 'vitest';
import { addChecks, type CopyCheck } from '../../../../src/standby/page-check/check-files.ts';

test('a file of 1 GB of which every page is damaged is a finding', () => {
  const file = { path: 'base/5/16384', fork: 'main', segment: 0 } as const;
  const pages = 131_072;
  const bad = Array.from({ length: pages }, (_, block) => ({ file, block, lsn: 0n, isPartial: false }));
  const tally: CopyCheck = { files: 0, pages: 0, bytes: 0, bad: [], troubles: [] };
  addChecks(tally, [file], [{ pages, bytes: pages * 8192, bad, trouble: undefined }]);
  expect(tally.bad.length).toBe(pages);
});
