import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PitrError } from '../../../../src/errors.ts';
import { listTree } from '../../../../src/standby/drill/tree.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const all = { isCopied: () => true, linksLeftAlone: [] };
const never = new AbortController().signal;

test('links are followed, and those that lead nowhere are left out, also in a circle', async () => {
  const [root, elsewhere] = [temporaryDirectory(), temporaryDirectory()];
  mkdirSync(join(root, 'base'));
  writeFileSync(join(root, 'base', '1'), 'row');
  writeFileSync(join(elsewhere, 'segment'), '');
  symlinkSync(elsewhere, join(root, 'pg_wal'));
  symlinkSync('/nonexistent/place', join(root, 'gone'));
  symlinkSync('there', join(root, 'here'));
  symlinkSync('here', join(root, 'there'));
  const { files, directories } = await listTree(root, all, never);
  expect([...files].sort()).toEqual(['base/1', 'pg_wal/segment']);
  expect([...directories].sort()).toEqual(['base', 'pg_wal']);
});

test('a link that cannot be followed for another reason is named', async () => {
  const root = temporaryDirectory();
  symlinkSync(`/${'x'.repeat(300)}`, join(root, 'long'));
  const failed = await listTree(root, all, never).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(PitrError);
  expect((failed as PitrError).message).toBe(`cannot look at "${join(root, 'long')}"`);
  expect((failed as PitrError).detail).toContain('ENAMETOOLONG');
});
