import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';
import { targetMajors } from './targets-kit.ts';

describe.each(targetMajors())('after a recovery to a target on PostgreSQL %i', (major) => {
  test.override({ major });

  test('-B and -S make a standby that keeps replaying, whatever target was set before', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const command = async (...args: string[]) => {
      const run = await world.cmdStandby(standby, args);
      expectExit(run, 0);
      return run;
    };
    const written = async (n: number) => {
      await primary.sql(`INSERT INTO t VALUES (${n})`);
      await primary.archived(await primary.switchWal());
      await eventually(async () => Number(await standby.value('SELECT max(n) FROM t')) >= n, {
        what: `row ${n} at the standby`,
      });
    };
    await primary.sql('CREATE TABLE t AS SELECT 1 AS n');
    await command('-I');
    await command('-B');
    await primary.sql('INSERT INTO t VALUES (2)');
    await primary.sql(`SELECT pg_create_restore_point('two')`);
    await primary.sql('INSERT INTO t VALUES (3)');
    await primary.archived(await primary.switchWal());

    // Nothing opens, so that the primary may live.
    await command('-F999', '--target-name', 'two', '--target-action', 'pause');
    expect(await standby.value('SELECT max(n) FROM t')).toBe('2');
    expectExit(await world.cmdStandby(standby, ['-F999']), 4);
    await command('-F999', '--force');
    expect(await standby.value('SELECT max(n) FROM t')).toBe('2');
    expect(await standby.inRecovery()).toBe(false);

    await command('-A', 'stop');
    // From 12 on the server's own configuration can hold a target, too.
    if (major >= 12)
      appendFileSync(
        join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'),
        "recovery_target_time = '2020-01-01 00:00:00+00'\n",
      );
    await command('-B');
    await command('-S');
    await written(4);
    await command('-A', 'stop');
    await command('-A', 'start');
    await written(5);
    expect(await standby.inRecovery()).toBe(true);
  });
});
