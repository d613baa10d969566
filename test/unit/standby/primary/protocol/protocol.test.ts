import { existsSync, readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { explainRefusal } from '../../../../../src/standby/primary/protocol/identify.ts';
import { passFileLine, withAccess } from '../../../../../src/standby/primary/protocol/pass-file.ts';

test('a line of the password file escapes the separators', () => {
  expect(passFileLine('a:b', 'c\\d:e')).toBe('*:*:*:a\\:b:c\\\\d\\:e\n');
});

test('the password is in a file that only we can read, and only as long as it is used', async () => {
  const file = await withAccess({ repl_db_password: 'secret', sslmode: 'require' }, 'copier', (env) => {
    const path = env['PGPASSFILE'] ?? '';
    expect(readFileSync(path, 'utf8')).toBe('*:*:*:copier:secret\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(env).toMatchObject({ PGSSLMODE: 'require' });
    return Promise.resolve(path);
  });
  expect(existsSync(file)).toBe(false);
  await withAccess({ repl_db_password: undefined, sslmode: 'prefer' }, 'copier', (env) => {
    expect(env).not.toHaveProperty('PGPASSFILE');
    return Promise.resolve();
  });
});

test.each([
  [
    'no pg_hba.conf entry for replication connection from host "10.0.0.2"',
    /^pg_hba\.conf of the primary does not/,
  ],
  ['must be superuser or replication role to start walsender', /^role "copier" has no right to replicate$/],
  ['permission denied to start WAL sender', /^role "copier" has no right to replicate$/],
  ['number of requested standby connections exceeds max_wal_senders', /no connection left/],
  ['password authentication failed for user "copier"', /does not accept the password of role "copier"/],
  ['Connection refused', /^cannot replicate from bitarena:5432 as role "copier"$/],
])('%s: the message tells the DBA what to do', (said, message) => {
  const stderr = `psql: error: connection to server failed: FATAL:  ${said}\n`;
  const error = explainRefusal(
    { host: 'bitarena', port: 5432, role: 'copier' },
    { kind: 'exited', code: 2, stdout: '', stderr },
  );
  expect(error.message).toMatch(message);
  expect(error.detail).toContain(said);
  expect(error.hint).not.toBe('');
});
