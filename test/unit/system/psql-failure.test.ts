import { describe, expect, test } from 'vitest';
import type { CommandResult } from '../../../src/system/command.ts';
import { psqlFailure, type PsqlTarget } from '../../../src/system/psql-failure.ts';
import type { SshTarget } from '../../../src/system/ssh.ts';

const target: PsqlTarget = {
  psql: { program: 'psql', args: [] },
  host: '127.0.0.1',
  port: 5432,
  user: 'postgres',
  database: 'postgres',
};
const over = { what: 'the primary' } as SshTarget;

function hint(stderr: string, wasIn = false): string {
  const result: CommandResult = { kind: 'exited', code: 2, stdout: '', stderr };
  return psqlFailure({ result, over, target, sql: 'SELECT 1', wasIn }).hint ?? '';
}

describe('the hint of a login that fails', () => {
  test.each([
    ['fe_sendauth: no password supplied', /\.pgpass/],
    ['FATAL:  password authentication failed for user "postgres"', /\.pgpass/],
    ['FATAL:  no pg_hba.conf entry for host "127.0.0.1"', /\.pgpass/],
    ['FATAL:  database "postgres" does not exist', /dbname:/],
    ['FATAL:  role "postgres" does not exist', /user:/],
    [
      'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
      /master_local_ip: and port:/,
    ],
    ['FATAL:  sorry, too many clients already', /max_connections/],
    ['FATAL:  the database system is starting up', /Wait/],
    ['FATAL:  etwas ist schiefgegangen', /psql -w -h 127\.0\.0\.1 -p 5432 -U postgres -d postgres/],
  ])('is right for %s', (stderr, expected) => {
    expect(hint(stderr)).toMatch(expected);
  });
});

describe('the hint of a session that had worked', () => {
  test.each([
    ['FATAL:  terminating connection due to idle-session timeout', /ended the session/],
    ['server closed the connection unexpectedly', /ended the session/],
    ['ERROR:  permission denied for function pg_backup_start', /helper-sql/],
    ['ERROR:  division by zero', /log of the server/],
  ])('does not mention a password: %s', (stderr, expected) => {
    expect(hint(stderr, true)).toMatch(expected);
    expect(hint(stderr, true)).not.toMatch(/password|pgpass/);
  });
});

test('a psql that does not exist is reported by its name', () => {
  const result: CommandResult = { kind: 'exited', code: 127, stdout: '', stderr: 'not found' };
  const error = psqlFailure({ result, over, target, sql: 'SELECT 1', wasIn: false });
  expect(error.message).toBe('cannot run "psql" on the primary');
});
