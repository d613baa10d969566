import { randomBytes } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata, isCopying } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

const bulkBytes = 8 * 1024 * 1024;

function makeBulk(primary: Primary): void {
  writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(bulkBytes));
}

/** Settings that an administrator may have given a role, and on which no session of ours must depend. */
const settings = [
  ['idle_session_timeout', '2s', 14],
  ['idle_in_transaction_session_timeout', '1s', 0],
  ['search_path', '', 0],
  ['default_transaction_isolation', 'serializable', 0],
  ['default_transaction_read_only', 'on', 0],
  ['DateStyle', 'SQL, DMY', 0],
  ['IntervalStyle', 'iso_8601', 0],
  ['bytea_output', 'escape', 0],
  ['client_encoding', 'LATIN1', 0],
  ['statement_timeout', '900ms', 0],
  ['lock_timeout', '100ms', 0],
] as const;

async function tellRole(primary: Primary): Promise<void> {
  await primary.withSession(async (client) => {
    await client.query('CREATE SCHEMA "Our helpers"');
    const { rows } = await client.query<{ signature: string }>(
      "SELECT oid::regprocedure::text AS signature FROM pg_proc WHERE proname LIKE 'cmd\\_%'",
    );
    for (const { signature } of rows)
      await client.query(`ALTER FUNCTION ${signature} SET SCHEMA "Our helpers"`);
    for (const [name, value, since] of settings) {
      if (primary.major >= since) await client.query(`ALTER ROLE "${primary.user}" SET ${name} = '${value}'`);
    }
  });
}

describe.each(failureMajors())('the sessions of cmd_standby on PostgreSQL %i', (major) => {
  test.override({ major });

  test('work with any settings of their role, from the base backup to the failover', async ({ world }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=2000' } });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    makeBulk(primary);
    await tellRole(primary);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.kill9();
    await primary.host.sshd.kill();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
  });

  test('end the base backup as soon as the server ends them, and not only after the copy', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=400' } });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    makeBulk(primary);
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    await primary.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pitrtools%'",
    );
    const failed = await running.finished;
    expectExit(failed, 1);
    expect(failed.stderr).toContain('the session is over');
    expect(failed.stderr).toContain('has ended the session');
    expect(failed.stderr).not.toMatch(/pgpass|password/);
    expect(statSync(inPgdata(standby, 'aaa-bulk')).blocks * 512).toBeLessThan(bulkBytes);
  });
});
