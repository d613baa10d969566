import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findInPath, plainShells } from '../../harness/shells.ts';

const launcher = join(import.meta.dirname, '..', '..', '..', 'bin', 'cmd_standby');
const segment = '000000010000000000000001';
const mebibyte = Buffer.alloc(1024 * 1024, 7);

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  mkdirSync(join(directory, "a r'c"));
  writeFileSync(join(directory, "a r'c", '.pitrtools'), 'system_identifier: 1\n');
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function put(name: string, content: Buffer | string): void {
  writeFileSync(join(directory, "a r'c", name), content);
}

function restore(
  shell: string,
  mode: string,
  name = segment,
  archive = "a r'c",
  path = '/usr/bin:/bin',
  to = 'target',
) {
  // Relative, as PostgreSQL gives %p, and without Node on the PATH: a restored segment must not need it.
  const result = spawnSync(shell, [launcher, '--restore', mode, join(directory, archive), name, to], {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: path },
  });
  return { code: result.status, stderr: result.stderr };
}

function target(): Buffer | undefined {
  const path = join(directory, 'target');
  return existsSync(path) ? readFileSync(path) : undefined;
}

describe.each(plainShells)('cmd_standby --restore in %s', (shell) => {
  test('ends the server at the end of the WAL with must-reach, and nowhere else', () => {
    put(segment, mebibyte);
    expect(restore(shell, 'must-reach')).toEqual({ code: 0, stderr: '' });
    expect(restore(shell, 'must-reach', '00000002.history').code).toBe(1);
    // The server asks for the newest timeline first.
    expect(restore(shell, 'must-reach', '000000020000000000000001').code).toBe(1);
    const end = restore(shell, 'must-reach', '000000010000000000000002');
    expect(end.code).toBe(126);
    expect(end.stderr).toContain('the WAL ends before 000000010000000000000002');
  });

  test.each([
    ['WAL of that place', 2 * 1024 * 1024, 0, 1],
    ['WAL of that place in the order of 9.2', 0, 2 * 1024 * 1024, 1],
    ['a segment that waits for its reuse', 1024 * 1024, 0, 126],
  ])('leaves to the server with must-reach what only pg_wal contains: %s', (_, first, second, code) => {
    const bytes = Buffer.from(mebibyte);
    bytes.writeUInt32LE(first, 8);
    bytes.writeUInt32LE(second, 12);
    mkdirSync(join(directory, 'pg_wal'));
    writeFileSync(join(directory, 'pg_wal', '000000010000000000000002'), bytes);
    const result = spawnSync(
      shell,
      [launcher, '--restore', 'must-reach', join(directory, "a r'c"), '000000010000000000000002', 'pg_wal/x'],
      { cwd: directory, encoding: 'utf8' },
    );
    expect(result.status).toBe(code);
  });

  test('returns no file to any server with hold', () => {
    put(segment, mebibyte);
    const held = restore(shell, 'hold');
    expect(held.code).toBe(126);
    expect(held.stderr).toContain('continue with cmd_standby -S or -F999');
    expect(target()).toBeUndefined();
  });

  test.each(['standby', 'target'])('copies a complete file (%s)', (mode) => {
    put(segment, mebibyte);
    expect(restore(shell, mode)).toEqual({ code: 0, stderr: '' });
    expect(target()?.equals(mebibyte)).toBe(true);
    put('00000002.history', 'x');
    expect(restore(shell, mode, '00000002.history').code).toBe(0);
    expect(target()?.toString()).toBe('x');
  });

  test.each(['standby', 'target'])(
    'exits 1 without a message for a file that the archive does not contain (%s)',
    (mode) => {
      expect(restore(shell, mode)).toEqual({ code: 1, stderr: '' });
    },
  );

  const troubles: [string, () => unknown][] = [
    [
      'a directory that has gone',
      () => {
        rmSync(join(directory, "a r'c"), { recursive: true });
      },
    ],
    [
      'an archive that is not mounted',
      () => {
        rmSync(join(directory, "a r'c", '.pitrtools'));
      },
    ],
    [
      'a short segment',
      () => {
        put(segment, mebibyte.subarray(100));
      },
    ],
    [
      'an empty segment',
      () => {
        put(segment, '');
      },
    ],
    [
      'a target that cannot be written',
      () => {
        put(segment, mebibyte);
        mkdirSync(join(directory, 'target.pitrtools'));
      },
    ],
  ];
  test.each(troubles)('makes a standby ask again and a recovery stop, with %s', (_, spoil) => {
    spoil();
    expect(restore(shell, 'standby')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERROR: ') as string,
    });
    expect(restore(shell, 'target')).toMatchObject({
      code: 126,
      stderr: expect.stringContaining('ERROR: ') as string,
    });
    expect(target()).toBeUndefined();
    expect(readdirSync(directory)).not.toContain('target');
  });

  /** As -F999 leaves it, before it promotes the server that runs. */
  function promoting(line: string): string {
    writeFileSync(join(directory, 'postmaster.pid'), '4711\n/data\n1700000000\n5432\n');
    writeFileSync(join(directory, 'pitrtools-promoting'), `${line}\n`);
    const shims = join(directory, 'shims');
    mkdirSync(shims);
    writeFileSync(join(shims, 'sleep'), '#!/bin/sh\necho "$1" >>slept\nif [ -e cure ]; then . ./cure; fi\n', {
      mode: 0o755,
    });
    return `${shims}:/usr/bin:/bin`;
  }
  const slept = () => readFileSync(join(directory, 'slept'), 'utf8').trim().split('\n');

  test.each(troubles)('makes a standby that is being promoted wait a minute and end, with %s', (_, spoil) => {
    const path = promoting(`4711 1700000000 ${segment} 1048576`);
    spoil();
    const { code, stderr } = restore(shell, 'standby', segment, "a r'c", path);
    expect(code).toBe(126);
    expect(stderr.split('\n').filter((line) => line.startsWith('ERROR: '))).toEqual([
      expect.not.stringContaining('ends rather than open'),
      expect.stringContaining('ends rather than open without what the archive holds'),
    ]);
    expect(slept()).toEqual(Array.from({ length: 60 }, () => '1'));
    expect(target()).toBeUndefined();
  });

  test('gives a standby that is being promoted each file that arrives in that minute, and lets it open at the end of the WAL', () => {
    const path = promoting('4711 1700000000');
    put(segment, mebibyte);
    rmSync(join(directory, "a r'c", '.pitrtools'));
    writeFileSync(join(directory, 'cure'), `: >"${directory}/a r'c/.pitrtools"\n`);
    expect(restore(shell, 'standby', segment, "a r'c", path).code).toBe(0);
    expect(target()?.equals(mebibyte)).toBe(true);
    expect(slept()).toEqual(['1']);
    const end = restore(shell, 'standby', '000000010000000000000002', "a r'c", path);
    expect(end).toEqual({ code: 1, stderr: '' });
  });

  test('does not let a standby that is being promoted take a file that cannot be looked at for the end of the WAL', () => {
    const path = promoting('4711 1700000000');
    symlinkSync(join(directory, 'not mounted', segment), join(directory, "a r'c", segment));
    expect(restore(shell, 'standby', segment, "a r'c", path).code).toBe(126);
    rmSync(join(directory, 'pitrtools-promoting'));
    expect(restore(shell, 'standby', segment, "a r'c", path)).toEqual({ code: 1, stderr: '' });
  });

  test.each(['4712 1700000000', '4711 1600000000', ''])(
    'does not end a standby because of a file from the promotion of another server (%j)',
    (line) => {
      const path = promoting(line);
      rmSync(join(directory, "a r'c"), { recursive: true });
      expect(restore(shell, 'standby', segment, "a r'c", path).code).toBe(1);
      rmSync(join(directory, 'postmaster.pid'));
      expect(restore(shell, 'standby', segment, "a r'c", path).code).toBe(1);
      expect(existsSync(join(directory, 'slept'))).toBe(false);
    },
  );

  test('makes a standby wait for a segment as long as the server would wait and log', () => {
    const path = promoting('4711 1700000000');
    rmSync(join(directory, 'pitrtools-promoting'));
    const waits = (mode: string, name: string) => {
      rmSync(join(directory, 'slept'), { force: true });
      restore(shell, mode, name, "a r'c", path);
      return existsSync(join(directory, 'slept')) ? slept() : [];
    };
    expect(waits('standby', segment)).toEqual(['0.5']);
    expect(waits('standby', '00000002.history')).toEqual([]);
    expect(waits('target', segment)).toEqual([]);
    rmSync(join(directory, "a r'c", '.pitrtools'));
    expect(waits('standby', segment)).toEqual(['0.5']);
    writeFileSync(join(directory, "a r'c", '.pitrtools'), '');
    // pg_ctl promote has left it: every moment counts.
    writeFileSync(join(directory, 'promote'), '');
    expect(waits('standby', segment)).toEqual([]);
    rmSync(join(directory, 'promote'));
    const record = join(directory, 'pitrtools.json');
    writeFileSync(record, '{\n  "switchover": { "primary": "a" }\n}\n');
    expect(waits('standby', segment)).toEqual([]);
    writeFileSync(record, '{\n  "takesRole": true\n}\n');
    expect(waits('standby', segment)).toEqual(['0.5']);
    put(segment, mebibyte);
    expect(waits('standby', segment)).toEqual([]);
  });

  test('does not let a standby wait that was just started and streams', () => {
    const path = promoting('');
    rmSync(join(directory, 'pitrtools-promoting'));
    const waits = (since: string) => {
      writeFileSync(join(directory, 'postmaster.pid'), `4711\n/data\n${since}\n5432\n`);
      rmSync(join(directory, 'slept'), { force: true });
      restore(shell, 'standby', segment, "a r'c", path);
      return existsSync(join(directory, 'slept'));
    };
    const now = Math.floor(Date.now() / 1000);
    expect(waits(String(now))).toBe(true);
    writeFileSync(join(directory, 'postgresql.auto.conf'), "primary_conninfo = 'host=a'\n");
    expect(waits(String(now))).toBe(false);
    expect(waits(String(now - 60))).toBe(true);
    // A clock that was set back, and PostgreSQL 9.0, which has its shared memory's key there.
    expect(waits(String(now + 60))).toBe(true);
    expect(waits('  5432001    65536')).toBe(true);
    expect(waits('')).toBe(true);
  });

  test('lets a standby wait for a segment that is in its pg_wal only when it asks for it again', () => {
    const path = promoting('4711 1700000000');
    rmSync(join(directory, 'pitrtools-promoting'));
    mkdirSync(join(directory, 'pg_wal'));
    const inPgWal = (name: string, address: number) => {
      const bytes = Buffer.alloc(1024 * 1024);
      bytes.writeUInt32LE(address, 8);
      writeFileSync(join(directory, 'pg_wal', name), bytes);
    };
    const waits = (name: string) => {
      rmSync(join(directory, 'slept'), { force: true });
      restore(shell, 'standby', name, "a r'c", path, 'pg_wal/RECOVERYXLOG');
      return existsSync(join(directory, 'slept'));
    };
    const [first, second, third] = [
      '000000010000000000000001',
      '000000010000000000000002',
      '000000010000000000000003',
    ];
    inPgWal(first, 1024 * 1024);
    inPgWal(second, 2 * 1024 * 1024);
    // A recycled one has its new name already.
    inPgWal(third, 1024 * 1024);
    expect([first, second, second, first, third, '000000010000000000000004'].map(waits)).toEqual([
      false,
      false,
      true,
      false,
      true,
      true,
    ]);
  });

  test('does not use a copy that was cut short by a crash', () => {
    writeFileSync(join(directory, 'target.pitrtools'), 'half');
    put(segment, mebibyte);
    expect(restore(shell, 'standby').code).toBe(0);
    expect(target()?.equals(mebibyte)).toBe(true);
  });
});

test.each(plainShells)('a disk without room for the note is notified of once, in %s', (shell) => {
  const node = join(directory, 'node');
  writeFileSync(node, '#!/bin/sh\nmktemp notified.XXXXXX\n', { mode: 0o755 });
  // Files are made and nothing can be written into them, as on a full disk.
  const full = `trap '' XFSZ; ulimit -f 0; exec ${findInPath(shell) ?? shell} "$@"`;
  const call = [
    '-c',
    full,
    'sh',
    launcher,
    '--restore',
    'standby',
    '/nonexistent',
    segment,
    'target',
    'i.ini',
  ];
  for (let time = 0; time < 2; time++) {
    const env = { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: node };
    // The server reads on until what was started in the background has ended, too.
    const { status, stderr } = spawnSync('/bin/sh', call, { cwd: directory, encoding: 'utf8', env });
    expect(status).toBe(1);
    expect(stderr).toContain('is not the archive of this standby');
  }
  expect(readdirSync(directory).filter((name) => name.startsWith('notified.'))).toHaveLength(1);
});

test('does not report the end of the WAL for an invalid call', () => {
  expect(spawnSync(launcher, ['--restore', 'standby'], { encoding: 'utf8' }).status).toBe(126);
});

describe.each(plainShells)('cmd_standby --restartpoint in %s', (shell) => {
  const run = (args: readonly string[]) =>
    spawnSync(shell, [launcher, '--restartpoint', join(directory, 'i.ini'), segment, ...args], {
      cwd: directory,
      // What works in the background keeps it open.
      stdio: 'ignore',
      env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: join(directory, 'node') },
    });
  const program = ['/bin/sh', '-c', 'echo "$@" >cleaned', 'sh', "a r'c"];
  const cleaned = () =>
    existsSync(join(directory, 'cleaned')) ? readFileSync(join(directory, 'cleaned'), 'utf8') : '';

  test('runs the program where there is no slot, as if it were the archive_cleanup_command itself', () => {
    expect(run(program).status).toBe(0);
    expect(cleaned()).toBe(`a r'c ${segment}\n`);
    expect(run([]).status).toBe(0);
  });

  test('says which program it lacks, and removes nothing', () => {
    mkdirSync(join(directory, 'pg_replslot', 'pitrtools_keep'), { recursive: true });
    const { status, stderr } = spawnSync(
      findInPath(shell) ?? shell,
      [launcher, '--restartpoint', join(directory, 'i.ini'), segment, ...program],
      { cwd: directory, encoding: 'utf8', env: { PATH: directory } },
    );
    expect(status).toBe(1);
    expect(stderr).toContain(
      'there is no program "flock": the replication slot pitrtools_keep is not advanced',
    );
    expect(cleaned()).toBe('');
  });

  test('leaves everything to Node where there is a slot, and does not wait for it', () => {
    mkdirSync(join(directory, 'pg_replslot', 'pitrtools_keep'), { recursive: true });
    const node = '#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.1; done\necho "$@" >called\n';
    writeFileSync(join(directory, 'node'), node, { mode: 0o755 });
    expect(run(program).status).toBe(0);
    const isCalled = () => existsSync(join(directory, 'called'));
    expect(isCalled()).toBe(false);
    writeFileSync(join(directory, 'go'), '');
    for (let tries = 0; tries < 200 && !isCalled(); tries++) spawnSync('sleep', ['0.1']);
    expect(readFileSync(join(directory, 'called'), 'utf8')).toContain(`--restartpoint ${segment}`);
    expect(cleaned()).toBe('');
  });
});
