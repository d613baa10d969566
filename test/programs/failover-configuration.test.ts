import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { createWorld, type World } from '../harness/world.ts';
import { type Pair, archiveRows, expectExit, makePair } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

interface RunningPair extends Pair {
  readonly here: World;
}

/** A standby that runs, whose primary is gone, and whose failover configuration needs a restart. */
async function orphanedPair(major: number): Promise<RunningPair> {
  const here = await createWorld({ major });
  world = here;
  const pair = await makePair(here, { failoverSettings: { max_connections: 41 } });
  expectExit(await here.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await pair.primary.kill9();
  return { ...pair, here };
}

function copyFailoverConf({ host, pgdata }: Standby): void {
  copyFileSync(
    join(host.directory, 'etc', 'pg_conf_failover', 'postgresql.conf'),
    join(pgdata, 'postgresql.conf'),
  );
}

describe.each(failureMajors())('the failover configuration on PostgreSQL %i', (major) => {
  test('is put into force also where pgdata held a copy of it before', async () => {
    world = await createWorld({ major });
    const pair = await makePair(world, { failoverSettings: { work_mem: '7MB' } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await primary.kill9();
    copyFailoverConf(standby);

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SHOW work_mem')).toBe('7MB');
  });

  test('is put into force by the next run where one was killed after it had copied it', async () => {
    const { here, standby } = await orphanedPair(major);
    standby.writeIni({ stop_command: 'sleep 60' });
    const first = here.startStandby(standby, ['-F999']);
    await eventually(() => first.output().includes('restarting for max_connections'));
    first.killFamily();
    await first.finished;

    standby.writeIni({ stop_command: undefined });
    expectExit(await here.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.value('SHOW max_connections')).toBe('41');
    expect(standby.failoverActions()).toBe(1);
  });
});
