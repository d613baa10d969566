import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
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

describe('a configuration file outside of the data directory', () => {
  const places = (options: (directory: string) => string, conf: string) => {
    const directory = temporaryDirectory();
    const [pgdata, etc] = [join(directory, 'main'), join(directory, 'etc')];
    for (const path of [pgdata, etc, join(directory, 'login')]) mkdirSync(path);
    writeFileSync(join(pgdata, 'postmaster.opts'), `/usr/bin/postgres ${options(directory)}\n`);
    writeFileSync(join(etc, 'postgresql.conf'), conf.replaceAll('DIR', directory));
    const judge = (path: string) =>
      checkValues({ settings: { pgdata } } as never, 'read-file', {
        path: join(directory, path),
        bytes: 1,
      } as never);
    return { directory, pgdata, judge };
  };
  const conf = "data_directory = 'DIR/main'\ninclude 'more.conf'\nident_file = 'DIR/login/users'\n";

  test.each([
    ['by config_file', (at: string) => `"-D" "${at}/main" "-c" "config_file=${at}/etc/postgresql.conf"`],
    ['by -D', (at: string) => `"-D" "${at}/etc"`],
  ])('may be read where the server was told %s that it is', async (_, options) => {
    const { directory, judge } = places(options, conf);
    writeFileSync(join(directory, 'etc', 'more.conf'), `hba_file = '${directory}/login/rules.conf'\n`);
    for (const path of ['etc/postgresql.conf', 'etc/pg_hba.conf', 'login/rules.conf', 'login/users'])
      expect(await judge(path)).toBeUndefined();
    for (const path of ['login/pg_hba.conf', 'login/other', 'etc/more.conf'])
      expect(await judge(path)).toBeDefined();
  });

  test('is that of ALTER SYSTEM, and over it that of the command line', async () => {
    const { directory, pgdata, judge } = places(
      (at) => `"--config-file=${at}/etc/postgresql.conf" "--ident_file=${at}/login/last"`,
      conf,
    );
    writeFileSync(
      join(pgdata, 'postgresql.auto.conf'),
      `hba_file = '${directory}/login/auto'\nident_file = '${directory}/login/auto-users'\n`,
    );
    for (const path of ['login/auto', 'login/last']) expect(await judge(path)).toBeUndefined();
    for (const path of ['login/users', 'login/auto-users']) expect(await judge(path)).toBeDefined();
  });
});
