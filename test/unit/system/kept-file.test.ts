import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownerObstacle, replaceKept, whyNotReplaced } from '../../../src/system/kept-file.ts';
import { temporaryDirectory } from './temporary.ts';

describe('a file of the user', () => {
  test('is replaced with its owner, group and mode', async () => {
    const path = join(temporaryDirectory(), 'cmd_standby.ini');
    writeFileSync(path, 'old');
    chmodSync(path, 0o640);
    const before = statSync(path);
    await replaceKept(path, 'new');
    const after = statSync(path);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect([after.uid, after.gid, after.mode]).toEqual([before.uid, before.gid, before.mode]);
    // A new file, not the old one written over.
    expect(after.ino).not.toBe(before.ino);
  });

  test('is replaced where a link leads to', async () => {
    const directory = temporaryDirectory();
    const [path, link] = [join(directory, 'real.ini'), join(directory, 'link.ini')];
    writeFileSync(path, 'old');
    symlinkSync(path, link);
    await replaceKept(link, 'new');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(directory).sort()).toEqual(['link.ini', 'real.ini']);
  });

  test.skipIf(process.getuid?.() === 0)(
    'cannot be replaced in a directory, or over a file, that is read-only',
    async () => {
      const directory = temporaryDirectory();
      const path = join(directory, 'a.ini');
      writeFileSync(path, 'old');
      expect(await whyNotReplaced(path)).toBeUndefined();
      chmodSync(path, 0o400);
      expect(await whyNotReplaced(path)).toContain('EACCES');
      chmodSync(path, 0o600);
      chmodSync(directory, 0o500);
      expect(await whyNotReplaced(path)).toContain('EACCES');
      await expect(replaceKept(path, 'new')).rejects.toThrow(`cannot write "${path}"`);
      expect(readFileSync(path, 'utf8')).toBe('old');
      chmodSync(directory, 0o700);
      expect(await whyNotReplaced(join(directory, 'none'))).toContain('ENOENT');
    },
  );
});

test.each([
  ['of the user and of a group of his', { uid: 100, gid: 7 }, 100, undefined],
  ['of another user', { uid: 0, gid: 7 }, 100, /belongs to user 0/],
  ['of a group that is not his', { uid: 100, gid: 8 }, 100, /belongs to group 8/],
  ['of anybody, for root', { uid: 5, gid: 8 }, 0, undefined],
])('a file %s is replaced only if the new one can be its like', (_, owner, user, obstacle) => {
  const found = ownerObstacle(owner, user, [100, 7]);
  if (obstacle === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(obstacle);
});
