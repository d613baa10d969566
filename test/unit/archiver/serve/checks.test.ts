import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkValues } from '../../../../src/archiver/serve/checks.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test('a path that goes up behind a symbolic link is no configuration file of this server', async () => {
  const directory = temporaryDirectory();
  const pgdata = join(directory, 'main');
  mkdirSync(pgdata);
  mkdirSync(join(directory, 'other', 'wal'), { recursive: true });
  symlinkSync(join(directory, 'other', 'wal'), join(pgdata, 'pg_wal'));
  const judge = (path: string) =>
    checkValues({ settings: { pgdata } } as never, 'read-file', { path, bytes: 1 } as never);
  expect(await judge(`${pgdata}/postgresql.conf`)).toBeUndefined();
  // The system reads other/postgresql.conf.
  expect(await judge(`${pgdata}/pg_wal/../postgresql.conf`)).toMatch(/leads upwards$/);
});
