import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';

/** What find_owner makes of a checkout of the user 54321, if root calls it; `passwd` is that user's entry. */
function wordsFor(passwd: string): readonly string[] {
  const script = `
    set -euo pipefail
    checkout="/a clone" passwd=$2
    is_root() { :; }
    stat() { if [ "$2" = %u ]; then echo 54321; else echo 54322; fi; }
    id() { echo 100; }
    getent() { [ -n "$passwd" ] || return 2; echo "$passwd"; }
    . "$1"
    find_owner
    printf '%s\\n' "\${as_owner[@]}"`;
  const words = ['-c', script, 'bash', checkout('scripts', 'lib', 'node-packages.sh'), passwd];
  return spawnSync('bash', words, { encoding: 'utf8' }).stdout.trimEnd().split('\n');
}

test('root works as the owner of the checkout', () => {
  expect(wordsFor('me:x:54321:100::/home/me:/bin/sh')).toEqual([
    'setpriv',
    '--reuid=54321',
    '--regid=100',
    '--init-groups',
    'env',
    '-C',
    '/a clone',
    'HOME=/home/me',
  ]);
});

test('the owner of the checkout may have no name on this machine', () => {
  expect(wordsFor('')).toEqual([
    ...['setpriv', '--reuid=54321', '--regid=54322', '--clear-groups'],
    ...['env', '-C', '/a clone', 'HOME=/a clone/.cache'],
  ]);
});

test.each([
  [['/nowhere', '--nod'], 'unknown option --nod'],
  [['/nowhere', '/elsewhere'], 'one directory, not /nowhere and /elsewhere'],
])('scripts/package/build %j is refused', (args, message) => {
  const result = spawnSync(checkout('scripts', 'package', 'build'), args, { encoding: 'utf8' });
  expect(result.status).toBe(1);
  expect(result.stderr).toContain(message);
});

test('scripts/setup shows its help, and refuses what it does not know', () => {
  const setUp = (...args: string[]) => spawnSync(checkout('scripts', 'setup'), args, { encoding: 'utf8' });
  expect(setUp('--help')).toMatchObject({ status: 0, stderr: '' });
  expect(setUp('--help').stdout).toContain('Usage: scripts/setup [MAJOR,MAJOR...]');
  expect(setUp('--all')).toMatchObject({ status: 1, stderr: 'setup: unknown argument --all (see --help)\n' });
  expect(setUp('15', '16').stderr).toBe('setup: one list of majors with commas, not 15 16\n');
});

test.each([
  ['demo', '--major N   this PostgreSQL'],
  ['test', 'FILE...         only the test files'],
  ['setup', 'Usage: scripts/setup [MAJOR,MAJOR...]'],
  ['bench', '--major N        this PostgreSQL'],
  ['package/build', 'Usage: scripts/package/build [--node] [DIRECTORY]'],
])('scripts/%s --help has its last line', (script, text) => {
  const last = spawnSync(checkout('scripts', script), ['--help'], { encoding: 'utf8' }).stdout.trimEnd();
  expect(last.split('\n').at(-1)?.trim()).toContain(text);
});
