import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accessOf } from '../../../src/system/libpq-access.ts';

const socket = { host: '/run/pg', port: 5432, user: 'postgres', database: 'postgres' };
const address = { ...socket, host: '127.0.0.1' };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pitrtools-access-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function file(name: string, text: string, mode = 0o600): string {
  const path = join(directory, name);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

describe('the password of a local login', () => {
  test('is the one for localhost if the login uses a socket', async () => {
    const PGPASSFILE = file('pass', 'localhost:*:*:postgres:secret\n');
    expect((await accessOf(socket, { PGPASSFILE })).password).toBe('secret');
    expect((await accessOf(address, { PGPASSFILE })).password).toBeUndefined();
  });

  test('is not read from a file that others can read, which is reported', async () => {
    const PGPASSFILE = file('pass', '*:*:*:*:secret\n', 0o640);
    const { password, lookedIn } = await accessOf(socket, { PGPASSFILE });
    expect(password).toBeUndefined();
    expect(lookedIn.join()).toContain(`chmod 0600 ${PGPASSFILE}`);
  });

  test('is PGPASSWORD before any file, and the service before both', async () => {
    const PGPASSFILE = file('pass', '*:*:*:*:of the file\n');
    const PGSERVICEFILE = file('services', '[here]\npassword=of the service\n');
    const env = { PGPASSFILE, PGPASSWORD: 'of the variable' };
    expect((await accessOf(socket, env)).password).toBe('of the variable');
    expect((await accessOf(socket, { ...env, PGSERVICE: 'here', PGSERVICEFILE })).password).toBe(
      'of the service',
    );
    expect((await accessOf(socket, { ...env, PGPASSWORD: '' })).password).toBe('of the file');
  });
});

describe('TLS of a local login', () => {
  test('is never used on a socket', async () => {
    expect((await accessOf(socket, { PGSSLMODE: 'require' })).tls).toEqual([false]);
  });

  test.each([
    ['disable', [false]],
    ['allow', [false, true]],
    ['prefer', [true, false]],
    ['nonsense', [true, false]],
    ['require', [true]],
    ['verify-full', [true]],
  ])('is tried in the order of libpq: %s', async (PGSSLMODE, expected) => {
    const { tls } = await accessOf(address, { PGSSLMODE });
    expect(tls.map((one) => one !== false)).toEqual(expected);
  });

  test('checks the certificate against the given root', async () => {
    const PGSSLROOTCERT = file('root.crt', 'a certificate');
    const [verified] = (await accessOf(address, { PGSSLMODE: 'require', PGSSLROOTCERT })).tls;
    expect(verified).toMatchObject({ rejectUnauthorized: true, ca: 'a certificate' });
    const [preferred] = (await accessOf(address, { PGSSLMODE: 'prefer', PGSSLROOTCERT })).tls;
    expect(preferred).toMatchObject({ rejectUnauthorized: false });
  });
});
