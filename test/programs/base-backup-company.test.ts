import { readdirSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

describe.each(failureMajors())('a base backup of PostgreSQL %i beside other work', (major) => {
  test.override({ major });

  test('succeeds beside a queue with WAL for this standby and beside the backup of another tool', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { wal_timeout: 60 } });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    await standby.host.sshd.kill();
    await primary.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS n');
    const queued = await primary.switchWal();
    await eventually(() => primary.queue('standby1').includes(queued), { what: `${queued} in the queue` });
    await standby.host.sshd.start();

    await primary.withSession(async (other) => {
      const start = major >= 15 ? 'pg_backup_start($1, true)' : 'pg_start_backup($1, true, false)';
      await other.query(`SELECT ${start}`, ['other tool']);
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      const stop = major >= 15 ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)';
      const ended = await other.query<{ labelfile: string }>(`SELECT labelfile FROM ${stop}`);
      expect(ended.rows[0]?.labelfile).toContain('LABEL: other tool');
    });
    // It is older than the backup: what was here by the end has been moved away.
    const isHere = (): boolean =>
      readdirSync(standby.archiveDir, { recursive: true }).some((path) =>
        String(path).endsWith(`/${queued}`),
      ) || standby.archive().includes(queued);
    await eventually(() => isHere() && !primary.queue('standby1').includes(queued));
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO t VALUES (1001)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '1001');
  });
});
