import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { longFiles } from '../long-files.ts';
import { nodeFiles } from '../node-files.js';
import { slowFiles } from '../slow-files.ts';

// A file that was renamed would run where it is too slow, or not where it must.
test.each([
  ['long', longFiles],
  ['slow', slowFiles],
  ['node', nodeFiles],
])('the list of %s files names files, each once', (_, files) => {
  const checkout = join(import.meta.dirname, '..', '..');
  expect(files.filter((file) => !existsSync(join(checkout, file)))).toEqual([]);
  expect(files).toHaveLength(new Set(files).size);
});
