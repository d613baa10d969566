import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { iniFileOf } from '../../src/ini-file.ts';
import { removeTree } from '../harness/remove-tree.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ini-file-'));
});
afterEach(() => {
  removeTree(folder);
});

describe('the INI file of a call', () => {
  const usage = (message: RegExp) =>
    expect.objectContaining({
      exitCode: 2,
      message: expect.stringMatching(message) as string,
      hint: 'Add it: cmd_archiver -C FILE …; cmd_archiver --setup makes one.',
    }) as Error;

  test('is that of -C, also where the default is there', () => {
    const byDefault = join(folder, 'a.ini');
    writeFileSync(byDefault, '');
    expect(iniFileOf('cmd_archiver', 'other.ini', byDefault)).toBe('other.ini');
    expect(iniFileOf('cmd_archiver', '', byDefault)).toBe('');
    expect(iniFileOf('cmd_archiver', undefined, byDefault)).toBe(byDefault);
  });

  test('must be given where the default is absent, and the error names the place', () => {
    const absent = join(folder, 'none', 'a.ini');
    expect(() => iniFileOf('cmd_archiver', undefined, absent)).toThrow(
      usage(/^no INI file is given, and there is no .*\/none\/a\.ini$/),
    );
    writeFileSync(join(folder, 'none'), '');
    expect(() => iniFileOf('cmd_archiver', undefined, absent)).toThrow(usage(/there is no/));
  });

  test('is not called absent where it cannot be seen', () => {
    const name = 'a'.repeat(300);
    expect(() => iniFileOf('cmd_archiver', undefined, join(folder, name))).toThrow(
      usage(/whether there is .* cannot be seen: ENAMETOOLONG/),
    );
  });
});
