import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

describe.each(testMajors())('cmd_standby -S on PostgreSQL %i', (major) => {
  test('starts a warm standby that replays what arrives in the archive', async () => {
    world = await createWorld({ major });
    const pair = await makePair(world);
    const { standby } = pair;
    await archiveRows(pair, 10);

    const run = await world.cmdStandby(standby, ['-S']);
    expectExit(run, 0);
    expect(run.stdout).toBe('server starting\nSuccessfully entered standby mode\n');
    expect(run.stderr).toContain('NOTICE: check_pgpid_func()');

    await archiveRows(pair, 25);
    await eventually(async () => (await countRows(standby)) === 25, { what: 'the rows to arrive' });
    expect(await standby.inRecovery()).toBe(true);
  });

  test('starts a streaming standby whose password nobody but its owner can read', async () => {
    world = await createWorld({ major });
    const pair = await makePair(world, {
      ini: { use_streaming_replication: 'on', repl_db_password: "it's 100% \\secret" },
    });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);

    const run = await world.cmdStandby(standby, ['-S']);
    expectExit(run, 0);
    expect(run.stdout + run.stderr).not.toContain('secret');

    await primary.sql('INSERT INTO rows VALUES (11)');
    await eventually(async () => (await countRows(standby)) === 11, { what: 'the row to be streamed' });
    const file = join(standby.pgdata, major < 12 ? 'recovery.conf' : 'postgresql.auto.conf');
    expect(readFileSync(file, 'utf8')).toContain('secret');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(join(standby.pgdata, 'standby.signal'))).toBe(major >= 12);
  });
});
