import { chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { findForeignOwner } from '../../../src/system/file-modes.ts';
import { removeTree } from '../../harness/remove-tree.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('an INI file of another ordinary user is found, whatever its mode is', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'file-modes-'));
  onTestFinished(() => {
    removeTree(directory);
  });
  const file = join(directory, 'x.ini');
  writeFileSync(file, '', { mode: 0o600 });
  const me = process.geteuid?.() ?? 0;
  expect(await findForeignOwner(file)).toBeUndefined();
  // Root's files are nobody else's.
  const owner = me === 0 ? 65_534 : me;
  chownSync(file, owner, process.getegid?.() ?? 0);
  vi.spyOn(process, 'geteuid').mockReturnValue(me + 1);
  expect(await findForeignOwner(file)).toMatchObject({
    message: `another user, with the id ${owner}, owns "${file}", and can change the commands that we run`,
    hint: `As root: chown ${me + 1} ${file}`,
  });
  expect(await findForeignOwner('/etc/passwd')).toBeUndefined();
  expect(await findForeignOwner(`${file}.absent`)).toBeUndefined();
});
