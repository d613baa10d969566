import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findDebianConfigFile } from '../../../../src/standby/server/server-configuration.ts';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'etc-'));
  mkdirSync(join(root, '15', 'main'), { recursive: true });
  writeFileSync(
    join(root, '15', 'main', 'postgresql.conf'),
    "data_directory = '/var/lib/postgresql/15/main' # use data in another directory\n",
  );
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

test('Debian’s configuration file is found for the data directory in it, and for no other', async () => {
  const found = (pgdata: string, major = '15') => findDebianConfigFile(pgdata, major, root);
  expect(await found('/var/lib/postgresql/15/main')).toBe(join(root, '15', 'main', 'postgresql.conf'));
  expect(await found('/data/main')).toBeUndefined();
  expect(await found('/var/lib/postgresql/15/main', '11')).toBeUndefined();
});
