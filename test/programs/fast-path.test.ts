import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { makeEtc, mayMount, withMounts } from '../harness/own-mounts.ts';
import { run } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';

const shells = ['/usr/bin/dash', '/usr/bin/bash'] as const;
const segment = '000000010000000000000001';
const identifier = '7000000000000000001';

/** All that a shipper leaves behind it, made by hand, so that a test can spoil one thing. */
interface Proof {
  readonly root: string;
  readonly ini: string;
  readonly pgdata: string;
  readonly place: string;
  readonly path: string;
  readonly marker: string;
  /** Gives the stamp the INI's time again, after the INI was changed. */
  stamp(): void;
}

function copyTime(from: string, to: string): void {
  execFileSync('touch', ['-r', from, to]);
}

function prove(iniText?: (place: string) => string): Proof {
  const root = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'fast-'));
  onTestFinished(() => {
    removeTree(root);
  });
  const [ini, pgdata, place] = [join(root, 'a.ini'), join(root, 'pgdata'), join(root, 'queue')];
  const own = join(place, '.archiver');
  const marks = join(own, 'marks', identifier);
  mkdirSync(join(pgdata, 'pg_wal'), { recursive: true });
  mkdirSync(marks, { recursive: true });
  writeFileSync(ini, iniText?.(place) ?? plainIni(place));
  writeFileSync(join(pgdata, 'pg_wal', segment), 'wal');
  symlinkSync(ini, join(own, 'config'));
  symlinkSync(pgdata, join(own, 'pgdata'));
  symlinkSync(marks, join(own, 'current'));
  const proof: Proof = {
    root,
    ini,
    pgdata,
    place,
    path: `pg_wal/${segment}`,
    marker: join(marks, segment),
    stamp: () => {
      copyTime(ini, join(own, 'stamp'));
    },
  };
  proof.stamp();
  execFileSync('touch', ['-d', '@1.000000001', join(own, 'earlier')]);
  execFileSync('touch', ['-d', '@1.000000002', join(own, 'later')]);
  copyTime(join(pgdata, proof.path), proof.marker);
  return proof;
}

function plainIni(place: string): string {
  return `[DEFAULT]\npgdata: /somewhere\nl_archivedir: ${place}\nslaves: a\n`;
}

/** Exit 0 without Node: the Node that the launcher finds can only fail. */
async function isProven(shell: string, proof: Proof, args?: readonly string[], cwd = proof.pgdata) {
  const result = await run(
    shell,
    [checkout('bin', 'cmd_archiver'), ...(args ?? ['-C', proof.ini, '-F', proof.path])],
    { cwd, env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: '/bin/false' } },
  );
  expect(result.stdout).toBe('');
  expect([0, 1]).toContain(result.code);
  return result.code === 0;
}

describe.each(shells)('the launcher under %s', (shell) => {
  test('accepts a marker as proof with the arguments in any order', async () => {
    const proof = prove();
    expect(await isProven(shell, proof)).toBe(true);
    expect(await isProven(shell, proof, ['-F', proof.path, '-C', proof.ini])).toBe(true);
  });

  test('starts Node for a line in the log, and accepts the marker if Node cannot print the line', async () => {
    const proof = prove();
    writeFileSync(join(proof.place, '.archiver', 'news'), 'warning standby a is behind\n');
    const node = join(proof.root, 'node');
    writeFileSync(node, '#!/bin/sh\n: >"$0.was-called"\nexit 1\n', { mode: 0o700 });
    const env = { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: node };
    const call = [checkout('bin', 'cmd_archiver'), '-C', proof.ini, '-F', proof.path];
    expect(await run(shell, call, { cwd: proof.pgdata, env })).toMatchObject({ code: 0 });
    expect(existsSync(`${node}.was-called`)).toBe(true);
    rmSync(node);
    expect(await run(shell, call, { cwd: proof.pgdata, env })).toMatchObject({ code: 0 });
    rmSync(proof.marker);
    expect(await run(shell, call, { cwd: proof.pgdata, env })).toMatchObject({ code: 1 });
  });

  test.each<[string, (place: string) => string]>([
    ['=', (place) => `[DEFAULT]\nl_archivedir=${place}\n`],
    [' = ', (place) => `[DEFAULT]\nl_archivedir = ${place}\n`],
    [':', (place) => `[DEFAULT]\nl_archivedir:${place}\n`],
    ['tabs', (place) => `[DEFAULT]\nl_archivedir\t:\t${place}\t\n`],
    ['blanks behind it', (place) => `[DEFAULT]\nl_archivedir: ${place}   \n`],
    ['no line feed at the end', (place) => `[DEFAULT]\nl_archivedir: ${place}`],
    ['comments and empty lines', (place) => `; a\n\n  # b\n[DEFAULT]\n\n ; c\nl_archivedir: ${place}\n`],
    ['the whole file indented', (place) => `    [DEFAULT]\n    pgdata: /x\n\n    l_archivedir: ${place}\n`],
    ['% in another value', (place) => `[DEFAULT]\npgdata: /x\nuser: %(pgdata)s\nl_archivedir: ${place}\n`],
  ])('reads l_archivedir with %s', async (_, text) => {
    expect(await isProven(shell, prove(text))).toBe(true);
  });

  test.each<[string, (place: string) => string]>([
    ['a key before any section', (place) => `l_archivedir: ${place}\n`],
    ['another section first', (place) => `[a]\nuser: x\n[DEFAULT]\nl_archivedir: ${place}\n`],
    ['a standby section', (place) => `[DEFAULT]\nuser: x\n[a]\nl_archivedir: ${place}\n`],
    ['a continuation line', (place) => `[DEFAULT]\nuser: x\n  l_archivedir: ${place}\n`],
    ['a line with less indentation', (place) => `  [DEFAULT]\n  user: x\nl_archivedir: ${place}\n`],
    ['interpolation', (place) => `[DEFAULT]\nroot: ${place}\nl_archivedir: %(root)s\n`],
    ['quotes', (place) => `[DEFAULT]\nl_archivedir: "${place}"\n`],
    ['a comment behind it', (place) => `[DEFAULT]\nl_archivedir: ${place} ; here\n`],
    ['two words', (place) => `[DEFAULT]\nl_archivedir: ${place} x\n`],
    ['a carriage return', (place) => `[DEFAULT]\r\nl_archivedir: ${place}\r\n`],
    ['a byte order mark', (place) => `\uFEFF[DEFAULT]\nl_archivedir: ${place}\n`],
    ['..', (place) => `[DEFAULT]\nl_archivedir: ${place}/../queue\n`],
    ['a relative path', () => `[DEFAULT]\nl_archivedir: ../queue\n`],
    ['no value', () => `[DEFAULT]\nl_archivedir:\n`],
    ['no such key', () => `[DEFAULT]\nr_archivedir: /x\n`],
    ['nothing', () => ''],
  ])('leaves an INI file with %s to Node', async (_, text) => {
    expect(await isProven(shell, prove(text))).toBe(false);
  });

  test.each<[string, (proof: Proof) => void]>([
    [
      'no marker',
      ({ marker }) => {
        rmSync(marker);
      },
    ],
    [
      'an older marker',
      ({ marker }) => {
        utimesSync(marker, 1, 1);
      },
    ],
    [
      'a newer marker',
      ({ marker }) => {
        utimesSync(marker, 4e9, 4e9);
      },
    ],
    [
      'a marker that differs by a nanosecond',
      ({ marker, root, pgdata, path }) => {
        const file = join(pgdata, path);
        execFileSync('touch', ['-d', '2026-01-02 03:04:05.123456789', file]);
        execFileSync('touch', ['-d', '2026-01-02 03:04:05.123456788', marker]);
        expect(root).toBeDefined();
      },
    ],
    [
      'a segment that is gone',
      ({ pgdata, path }) => {
        rmSync(join(pgdata, path));
      },
    ],
    [
      'no stamp',
      ({ place }) => {
        rmSync(join(place, '.archiver', 'stamp'));
      },
    ],
    [
      'an INI that was changed since',
      ({ ini }) => {
        utimesSync(ini, 4e9, 4e9);
      },
    ],
    [
      'an INI that was set back since',
      ({ ini }) => {
        utimesSync(ini, 1, 1);
      },
    ],
    ...['earlier', 'later'].map((name): [string, (proof: Proof) => void] => [
      `no file "${name}" by which the shell is tried`,
      ({ place }) => {
        rmSync(join(place, '.archiver', name));
      },
    ]),
    [
      'no marks',
      ({ place }) => {
        rmSync(join(place, '.archiver', 'current'));
      },
    ],
    [
      'another INI of the same time',
      ({ place, root, ini }) => {
        const other = join(root, 'b.ini');
        writeFileSync(other, '');
        copyTime(ini, other);
        rmSync(join(place, '.archiver', 'config'));
        symlinkSync(other, join(place, '.archiver', 'config'));
      },
    ],
    [
      'another cluster',
      ({ place, root, pgdata, path }) => {
        const other = join(root, 'other');
        mkdirSync(join(other, 'pg_wal'), { recursive: true });
        writeFileSync(join(other, path), 'wal');
        copyTime(join(pgdata, path), join(other, path));
        rmSync(join(place, '.archiver', 'pgdata'));
        symlinkSync(other, join(place, '.archiver', 'pgdata'));
      },
    ],
  ])('does not accept a segment with %s', async (_, spoil) => {
    const proof = prove();
    spoil(proof);
    expect(await isProven(shell, proof)).toBe(false);
  });

  test.each<[string, (proof: Proof) => string[]]>([
    ['an absolute path', ({ ini, pgdata, path }) => ['-C', ini, '-F', join(pgdata, path)]],
    ['a path above', ({ ini }) => ['-C', ini, '-F', `pg_wal/../pg_wal/${segment}`]],
    ['a directory', ({ ini }) => ['-C', ini, '-F', 'pg_wal/']],
    ['one argument more', ({ ini, path }) => ['-C', ini, '-F', path, '--flush']],
    ['another action', ({ ini, path }) => ['-C', ini, '--abandon', path]],
    ['a missing INI', ({ path }) => ['-C', '/nonexistent.ini', '-F', path]],
  ])('leaves a call with %s to Node', async (_, args) => {
    const proof = prove();
    expect(await isProven(shell, proof, args(proof))).toBe(false);
  });
});

/** A shell that compares the times of files by whole seconds, as busybox does. */
function coarseShell(root: string): string {
  const shell = join(root, 'coarse');
  const text = `#!/bin/bash
function [ {
  case $2 in
    -nt) builtin [ "$(stat -c %Y "$1" 2>&1)" -gt "$(stat -c %Y "$3" 2>&1)" ] 2>/dev/null ;;
    *) builtin [ "$@" ;;
  esac
}
launcher=$1
shift
. "$launcher"
`;
  writeFileSync(shell, text, { mode: 0o700 });
  return shell;
}

const hasBusybox = existsSync('/usr/bin/busybox') || existsSync('/bin/busybox');

test.each(['a stand-in', ...(hasBusybox ? ['busybox'] : [])])(
  'a shell that compares times by whole seconds leaves every segment to Node: %s',
  async (kind) => {
    const proof = prove();
    const shell = coarseShell(proof.root);
    const words = kind === 'busybox' ? ['busybox', 'ash'] : [shell];
    const [program = '', ...before] = words;
    const launcher = checkout('bin', 'cmd_archiver');
    const calls = [...before, launcher, '-C', proof.ini, '-F', proof.path];
    const result = await run(program, calls, {
      cwd: proof.pgdata,
      env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: '/bin/false' },
    });
    expect(result.code).toBe(1);
    // With nothing to try it by, it would say yes: the stand-in is one.
    const own = join(proof.place, '.archiver');
    execFileSync('touch', ['-d', '@5', join(own, 'later')]);
    expect((await run(program, calls, { cwd: proof.pgdata, env: { PATH: '/usr/bin:/bin' } })).code).toBe(0);
  },
);

test('without -C the INI file in /etc/pitrtools counts, for the shell and for Node', async (context) => {
  const proof = prove();
  const etc = makeEtc(join(proof.root, 'etc'));
  if (!(await mayMount())) context.skip('no user namespaces here');
  const call = (node: string, ...args: string[]) =>
    run(...withMounts([[etc, '/etc']], [checkout('bin', 'cmd_archiver'), ...args]), {
      cwd: proof.pgdata,
      env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: node },
    });
  const absent = await call(process.execPath, '-F', proof.path);
  expect(absent.stderr).toContain('no INI file is given, and there is no /etc/pitrtools/cmd_archiver.ini');
  expect(absent.code).toBe(2);

  // It lacks a key, so that Node, where it reads this file, names it.
  const ini = join(etc, 'pitrtools', 'cmd_archiver.ini');
  writeFileSync(ini, `[DEFAULT]\nl_archivedir: ${proof.place}\n`);
  const config = join(proof.place, '.archiver', 'config');
  rmSync(config);
  symlinkSync('/etc/pitrtools/cmd_archiver.ini', config);
  copyTime(ini, join(proof.place, '.archiver', 'stamp'));
  expect(await call('/bin/false', '-F', proof.path)).toMatchObject({ code: 0, stderr: '' });
  rmSync(proof.marker);
  for (const args of [['-F', proof.path], []]) {
    const byNode = await call(process.execPath, ...args);
    expect(byNode.stderr).toMatch(
      /the configuration file cannot be used:\n.*\/etc\/pitrtools\/cmd_archiver\.ini/,
    );
    expect(byNode.code).toBe(3);
  }
});

test('bash alone takes any file for newer than a missing one, so the launcher must not rely on that', () => {
  const proof = prove();
  rmSync(proof.marker);
  const naive = ['-c', `[ ${join(proof.pgdata, proof.path)} -nt ${proof.marker} ]`];
  expect(() => execFileSync('/usr/bin/bash', naive)).not.toThrow();
});
