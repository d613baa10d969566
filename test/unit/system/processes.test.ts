import { statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isSameDirectory, worksIn } from '../../../src/system/processes.ts';

test('directories of two file systems differ although their inodes have the same number', async () => {
  expect(statSync('/proc').ino).toBe(statSync('/sys').ino);
  expect(await isSameDirectory('/proc', '/sys')).toBe(false);
  expect(await isSameDirectory('/proc', '/proc/sys/..')).toBe(true);
});

// root looks into every process.
test.skipIf(process.getuid?.() === 0)(
  'a process that cannot be inspected does not count as gone',
  async () => {
    expect(await worksIn(1, '/')).toBe('hidden');
  },
);

test('a process is present, elsewhere or gone', async () => {
  expect(await worksIn(process.pid, process.cwd())).toBe('there');
  expect(await worksIn(process.pid, '/proc')).toBe('elsewhere');
  expect(await worksIn(2 ** 22 + 1, '/')).toBe('gone');
});
