import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { withPrivateFile } from '../../../src/system/private-directory.ts';
import { temporaryDirectory } from './temporary.ts';

const own = `pitrtools-${process.getuid?.() ?? 0}`;
let shared: string;

beforeEach(() => {
  shared = temporaryDirectory();
  chmodSync(shared, 0o1777);
  vi.stubEnv('TMPDIR', shared);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

function deadPid(): number {
  return spawnSync('true').pid;
}

/** What a process left that was killed, and what an attacker added to it. */
function leftover(parent: string, prefix = ''): string {
  const directory = join(parent, `${prefix}${deadPid()}-abcdef`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

const placeOf = () =>
  withPrivateFile('socket', (path) => {
    writeFileSync(path, '');
    return Promise.resolve({ path, mode: statSync(dirname(path)).mode & 0o777 });
  });

describe('a private file', () => {
  test('is in a directory of ours that no other user can enter, and is removed', async () => {
    const { path, mode } = await placeOf();
    expect(path.startsWith(join(shared, own, `${process.pid}-`))).toBe(true);
    expect([mode, statSync(join(shared, own)).mode & 0o777]).toEqual([0o700, 0o700]);
    expect(readdirSync(join(shared, own))).toEqual([]);
  });

  test('of a killed process is removed by the next call', async () => {
    const left = leftover(join(shared, own));
    chmodSync(join(shared, own), 0o700);
    for (const name of ['socket', 'socket.AbCdEf0123456789', 'passwords'])
      writeFileSync(join(left, name), '');
    await placeOf();
    expect(existsSync(left)).toBe(false);
  });

  test('is removed only by its name, never recursively or through a link', async () => {
    const victim = join(shared, 'victim');
    mkdirSync(victim, { mode: 0o700 });
    writeFileSync(join(victim, 'passwords'), 'bytes');
    // Without a directory of our own, the names lie where others may write.
    writeFileSync(join(shared, own), '');
    const left = leftover(shared, 'pitrtools-');
    mkdirSync(join(left, 'deep'));
    writeFileSync(join(left, 'deep', 'file'), 'bytes');
    symlinkSync(victim, join(left, 'files'));
    symlinkSync(victim, join(shared, `pitrtools-${deadPid()}-fedcba`));
    await placeOf();
    expect(existsSync(join(left, 'deep', 'file'))).toBe(true);
    expect(existsSync(join(victim, 'passwords'))).toBe(true);
  });

  test.each([
    [
      'a symbolic link',
      (path: string, victim: string) => {
        symlinkSync(victim, path);
      },
    ],
    [
      'a file',
      (path: string) => {
        writeFileSync(path, '');
      },
    ],
    [
      'a directory that others may enter',
      (path: string) => {
        mkdirSync(path, { mode: 0o755 });
      },
    ],
  ])('is made beside %s that has taken the name of our directory', async (_what, plant) => {
    const victim = join(shared, 'victim');
    mkdirSync(victim, { mode: 0o700 });
    plant(join(shared, own), victim);
    const { path, mode } = await placeOf();
    expect(path.startsWith(join(shared, `pitrtools-${process.pid}-`))).toBe(true);
    expect(mode).toBe(0o700);
    expect(readdirSync(victim)).toEqual([]);
    expect(existsSync(dirname(path))).toBe(false);
  });

  test('costs the same beside many foreign names, because only a limited number is examined', async () => {
    writeFileSync(join(shared, own), '');
    const pid = deadPid();
    const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    for (const a of letters) {
      for (const b of letters)
        for (const c of letters) mkdirSync(join(shared, `pitrtools-${pid}-${a}${b}${c}abc`), 0o700);
    }
    await placeOf();
    const left = readdirSync(shared).length;
    expect(left).toBeGreaterThan(50);
    expect(left).toBeLessThan(343);
  });
});
