import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

describe.each(failureMajors())('a base backup of PostgreSQL %i in company', (major) => {
  test('of a queue that holds WAL for this standby, and of a backup of another tool: both end well', async () => {
    world = await createWorld({ major });
    const here = world;
    const { primary, standby } = await backupPair(here, { ini: { wal_timeout: 60 } });
    expectExit(await here.cmdStandby(standby, ['-I']), 0);
    await standby.host.sshd.kill();
    await primary.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS n');
    const queued = await primary.switchWal();
    await eventually(() => primary.queue('standby1').includes(queued), { what: `${queued} in the queue` });
    await standby.host.sshd.start();

    await primary.withSession(async (other) => {
      const start = major >= 15 ? 'pg_backup_start($1, true)' : 'pg_start_backup($1, true, false)';
      await other.query(`SELECT ${start}`, ['other tool']);
      expectExit(await here.cmdStandby(standby, ['-B']), 0);
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
    expectExit(await here.cmdStandby(standby, ['-S']), 0);
    await primary.sql('INSERT INTO t VALUES (1001)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM t')) === '1001');
  });
});
