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
