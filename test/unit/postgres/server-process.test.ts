import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  describeHelper,
  isServerProgram,
  roleOf,
  serverProgramPatterns,
} from '../../../src/postgres/server-process.ts';

describe('the title of a server process', () => {
  test.each([
    ['/usr/lib/postgresql/15/bin/postgres -D /data', 'postmaster'],
    ['/usr/lib/postgresql/15/bin/postgres-D/data', 'postmaster'],
    ['postgres --single', 'postmaster'],
    ['postgres: writer process   ', 'helper'],
    ['postgres: wal writer process   ', 'helper'],
    ['postgres: stats collector process   ', 'helper'],
    ['postgres: checkpointer ', 'helper'],
    ['postgres: 15/main: checkpointer ', 'helper'],
    ['postgres: background writer ', 'helper'],
    ['postgres: walwriter ', 'helper'],
    ['postgres: autovacuum launcher process', 'helper'],
    ['postgres: autovacuum worker process   shop', 'helper'],
    ['postgres: archiver process   last was 000000010000000000000007', 'helper'],
    ['postgres: startup recovering 000000010000000000000007', 'helper'],
    ['postgres: walreceiver streaming 0/3000148', 'helper'],
    ['postgres: io worker 2', 'helper'],
    ['postgres: joe shop [local] idle', 'backend'],
    ['postgres: 15/main: joe shop 10.0.0.1(4711) COMMIT', 'backend'],
    ['postgres: walsender joe 10.0.0.1(4711) streaming 0/3000148', 'backend'],
    ['postgres: writer shop [local] idle', 'backend'],
    ['postgres: checkpointer shop [local] idle', 'backend'],
    ['postgres: parallel worker for PID 4711', 'backend'],
    ['', 'backend'],
  ])('%j means %s', (title, role) => {
    expect(roleOf({ title })).toBe(role);
  });

  test('shows the name of a helper process', () => {
    expect(describeHelper({ pid: 4, state: 'S', title: 'postgres: 15/main: checkpointer  ' })).toBe(
      'checkpointer (pid 4)',
    );
  });
});

const isServerProgramForSh = (name: string): boolean =>
  execFileSync('/bin/sh', ['-c', `case $1 in ${serverProgramPatterns}) echo yes ;; esac`, 'sh', name], {
    encoding: 'utf8',
  }) === 'yes\n';

test.each([
  ['postgres', true],
  ['postmaster', true],
  ['edb-postgres', true],
  ['.postgres-wrapp', true],
  ['postgres-15', true],
  ['postgres.real', true],
  ['postgres_export', false],
  ['postgresql', false],
  ['psql', false],
  ['sh', false],
])('a program named %s may be a server (%s), for both hosts', (name, expected) => {
  expect(isServerProgram(name)).toBe(expected);
  expect(isServerProgramForSh(name)).toBe(expected);
});
