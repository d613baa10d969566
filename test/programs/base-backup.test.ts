import { existsSync, readdirSync, statSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata } from './backup-kit.ts';

describe.each(testMajors())('a base backup of PostgreSQL %i', (major) => {
  test.override({ major });

  test('-I and -B print what the how-to shows, and the standby replays', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const init = await world.cmdStandby(standby, ['-I']);
    expect(init).toMatchObject({ code: 0, stdout: 'Standby is ready\n' });
    expect(init.stderr).toContain('NOTICE: check_pgpid_func()');
    expect(init.stderr).toMatch(
      /^DEBUG: executing query 'SELECT \* FROM cmd_get_data_dirs\(\)' by \/usr\/bin\/ssh /m,
    );
    expect(init.stderr).toContain(`DEBUG: ${primary.pgdata}\n`);
    for (const path of [standby.pgdata, standby.archiveDir]) expect(statSync(path).mode & 0o777).toBe(0o700);

    await primary.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS n');
    const backup = await world.cmdStandby(standby, ['-B']);
    expect(backup).toMatchObject({ code: 0 });
    expect(backup.stdout).toMatch(/Base backup finished successfully\n$/);
    // What rsync says by debug: on, without the ends of the lines that it draws anew.
    expect(backup.stdout).toContain('Number of files');
    expect(backup.stdout).not.toContain('\n\n');
    expect(existsSync(inPgdata(standby, 'backup_label'))).toBe(true);
    expect(readdirSync(inPgdata(standby, 'global')).join()).not.toContain('pitrtools');

    const start = await world.cmdStandby(standby, ['-S']);
    expect(start).toMatchObject({ code: 0 });
    await primary.sql('INSERT INTO t VALUES (1001)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT max(n) FROM t')) === '1001');
  });
});
