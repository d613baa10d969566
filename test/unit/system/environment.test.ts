import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../../../src/system/command.ts';
import { cleanedEnvironment, cleanShellLine } from '../../../src/system/environment.ts';
import { temporaryDirectory } from './temporary.ts';

const hostile = {
  LANG: 'de_DE.UTF-8',
  LC_ALL: 'de_DE.UTF-8',
  LC_NUMERIC: 'de_DE.UTF-8',
  PGHOST: 'elsewhere',
  PGHOSTADDR: '192.0.2.1',
  PGOPTIONS: '-c statement_timeout=1',
  PGSERVICE: 'another',
  PGNEWKEY: 'x',
  RSYNC_RSH: 'false',
  RSYNC_NEW_KEY: 'x',
  GREP_OPTIONS: '-v',
  CDPATH: '/tmp',
  'BASH_FUNC_cd%%': '() { false; }',
};
const wanted = {
  HOME: '/home/postgres',
  PATH: '/usr/bin',
  SSH_AUTH_SOCK: '/run/agent',
  PGPASSFILE: '/secret/pgpass',
  PGSSLROOTCERT: '/secret/root.crt',
  PG_OOM_ADJUST_FILE: '/proc/self/oom_score_adj',
  TZ: 'Europe/Berlin',
};

test('programs get the environment without harmful variables, and with those that the documentation promises', () => {
  expect(cleanedEnvironment({ ...hostile, ...wanted })).toEqual({ ...wanted, LC_ALL: 'C' });
});

test('a remote shell is cleaned by a line of sh that never fails', async () => {
  const show =
    'echo "$LC_ALL${PGHOST-}${PGHOSTADDR-}${PGOPTIONS-}${GREP_OPTIONS-}${CDPATH-}${LANG-} $PGPASSFILE"';
  const result = await runCommand(
    { program: '/bin/sh', args: ['-euc', `${cleanShellLine}\n${show}`] },
    { limitMs: 60_000, env: { ...hostile, ...wanted } },
  );
  expect(result).toMatchObject({ kind: 'exited', code: 0, stdout: 'C /secret/pgpass\n' });
});

test("a program starts although our own directory cannot be entered, and a command of the user starts in the caller's directory", async () => {
  const directory = join(temporaryDirectory(), 'closed');
  mkdirSync(directory);
  const before = process.cwd();
  const where = (asCaller: boolean) =>
    runCommand({ program: '/bin/sh', args: ['-c', 'pwd'] }, { limitMs: 60_000, asCaller });
  try {
    process.chdir(directory);
    expect((await where(true)).stdout).toBe(`${directory}\n`);
    chmodSync(directory, 0);
    expect((await where(false)).stdout).toBe('/\n');
    if (process.getuid?.() !== 0) expect((await where(true)).stdout).toBe('/\n');
  } finally {
    process.chdir(before);
    chmodSync(directory, 0o700);
  }
});
