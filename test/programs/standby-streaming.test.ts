import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archiveRows, expectExit, makePair } from './standby-kit.ts';

describe.each(failureMajors())('cmd_standby -S with streaming on PostgreSQL %i', (major) => {
  test.override({ major });

  test('reports success only after the WAL receiver is streaming, otherwise the reason of the refusal', async ({
    world,
  }) => {
    const pair = await makePair(world, {
      ini: { use_streaming_replication: 'on', repl_db_user: 'streamer', repl_db_password: 'wrong' },
    });
    const { primary, standby } = pair;
    await primary.sql("CREATE ROLE streamer REPLICATION LOGIN PASSWORD 'right'");
    await archiveRows(pair, 10);
    const hba = join(primary.pgdata, 'pg_hba.conf');
    const usual = readFileSync(hba, 'utf8');
    const admit = async (method: string) => {
      writeFileSync(hba, `host replication streamer 127.0.0.0/8 ${method}\n${usual}`);
      await primary.reload();
    };
    const start = () => world.cmdStandby(standby, ['-S']);

    for (const [method, reason] of [
      ['reject', 'pg_hba.conf rejects replication connection'],
      ['md5', 'password authentication failed for user "streamer"'],
    ] as const) {
      await admit(method);
      const refused = await start();
      expectExit(refused, 1);
      expect(refused.stdout).toBe('server starting\n');
      expect(refused.stderr).toContain('it is not seen streaming from the primary');
      expect(refused.stderr).toContain(reason);
      expect(await standby.inRecovery()).toBe(true);
      expectExit(await world.cmdStandby(standby, ['-Astop']), 0);
    }

    standby.writeIni({ repl_db_password: 'right' });
    const streams = await start();
    expectExit(streams, 0);
    expect(streams.stdout).toBe('server starting\nSuccessfully entered standby mode\n');
    expect(await primary.value('SELECT count(*) FROM pg_stat_replication')).toBe('1');
  });
});
