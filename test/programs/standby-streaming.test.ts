import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { failureMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archiveRows, expectExit, makePair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

describe.each(failureMajors())('cmd_standby -S with streaming on PostgreSQL %i', (major) => {
  test('says success only when the WAL receiver is seen streaming, else the reason of the refusal', async () => {
    world = await createWorld({ major });
    const here = world;
    const pair = await makePair(here, {
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
    const start = () => here.cmdStandby(standby, ['-S']);

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
      expectExit(await here.cmdStandby(standby, ['-Astop']), 0);
    }

    standby.writeIni({ repl_db_password: 'right' });
    const streams = await start();
    expectExit(streams, 0);
    expect(streams.stdout).toBe('server starting\nSuccessfully entered standby mode\n');
    expect(await primary.value('SELECT count(*) FROM pg_stat_replication')).toBe('1');
  });
});
