import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors, serverProgram } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, countRows, expectExit, makePair, type Pair } from './standby-kit.ts';

/** A standby that runs, whose primary is gone, and whose failover configuration needs a restart. */
async function orphanedPair(world: World): Promise<Pair> {
  const pair = await makePair(world, { failoverSettings: { max_connections: 41 } });
  expectExit(await world.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, 10);
  await pair.primary.kill9();
  return pair;
}

function copyFailoverConf({ host, pgdata }: Standby): void {
  copyFileSync(
    join(host.directory, 'etc', 'pg_conf_failover', 'postgresql.conf'),
    join(pgdata, 'postgresql.conf'),
  );
}

function pidFile({ host }: Standby): string {
  return join(host.directory, 'checkpointer.pid');
}

/** Stops the server fast, but for its last checkpoint; `then` runs in the background with the checkpointer's $pid. */
function stopsSlowly(standby: Standby, then: string): string {
  const { host, pgdata, major } = standby;
  return writeScript(
    host,
    'stop-slowly.sh',
    `for pid in $(cat /proc/$(head -1 '${pgdata}/postmaster.pid')/task/*/children); do
  tr '\\0' ' ' < /proc/$pid/cmdline | grep -q checkpointer && break
done
echo $pid > '${pidFile(standby)}'
kill -STOP $pid
${then} > /dev/null 2>&1 &
exec '${serverProgram(major, 'pg_ctl')}' -D '${pgdata}' -m fast -W stop`,
  );
}

function stoppedCheckpointer(standby: Standby): number {
  expect(existsSync(pidFile(standby))).toBe(true);
  return Number(readFileSync(pidFile(standby), 'utf8'));
}

describe.each(failureMajors())('the failover configuration on PostgreSQL %i', (major) => {
  test.override({ major });

  test('takes effect even if pgdata contained a copy of it before', async ({ world }) => {
    const pair = await makePair(world, { failoverSettings: { work_mem: '7MB' } });
    const { primary, standby } = pair;
    await archiveRows(pair, 10);
    await primary.kill9();
    copyFailoverConf(standby);

    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SHOW work_mem')).toBe('7MB');
  });

  test('takes effect in the next run if a run was killed after it had copied the files', async ({
    world,
  }) => {
    const { standby } = await orphanedPair(world);
    const stopping = join(standby.host.directory, 'stopping');
    standby.writeIni({ stop_command: `touch ${stopping}; exec sleep 60` });
    const first = world.startStandby(standby, ['-F999']);
    await eventually(() => existsSync(stopping));
    first.killFamily();
    await first.finished;

    standby.writeIni({ stop_command: undefined });
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.value('SHOW max_connections')).toBe('41');
    expect(standby.failoverActions()).toBe(1);
  });

  test('-F999 reports a restart whose stop exceeds start_timeout, and the next run starts the server', async ({
    world,
  }) => {
    const { standby } = await orphanedPair(world);
    standby.writeIni({ start_timeout: 4, stop_command: stopsSlowly(standby, 'true') });
    const first = await world.cmdStandby(standby, ['-F999']);
    expectExit(first, 1);
    expect(first.stderr).toContain('the failover has happened, but was not finished');
    expect(first.stderr).toContain('the server is still stopping');
    expect(first.stderr).toMatch(/wait until it has ended; then run -F999 again/);
    expect(first.stderr).not.toContain('the server runs');
    expect(standby.isRunning()).toBe(true);
    expect(standby.failoverActions()).toBe(0);

    process.kill(stoppedCheckpointer(standby), 'SIGCONT');
    await eventually(() => !standby.isRunning());
    const asStandby = await world.cmdStandby(standby, ['-S']);
    expectExit(asStandby, 4);
    expect(asStandby.stderr).toContain('-F999 starts the server and finishes it');

    standby.writeIni({ stop_command: undefined, start_timeout: 30 });
    const second = await world.cmdStandby(standby, ['-F999']);
    expectExit(second, 0);
    expect(second.stderr).toContain('was begun and not finished');
    expect(second.stderr).not.toContain('restarting for');
    expect(await standby.inRecovery()).toBe(false);
    expect(await standby.value('SHOW max_connections')).toBe('41');
    expect(await countRows(standby)).toBe(10);
    expect(standby.failoverActions()).toBe(1);
    const again = await world.cmdStandby(standby, ['-F999']);
    expectExit(again, 4);
    expect(again.stderr).toContain('was failed over already, to timeline 2');
  });

  test('a server that ends late is started again, and only one that answers is reported as running', async ({
    world,
  }) => {
    const { standby } = await orphanedPair(world);
    standby.writeIni({ start_timeout: 4, stop_command: stopsSlowly(standby, '(sleep 6; kill -CONT $pid)') });
    const first = await world.cmdStandby(standby, ['-F999']);
    expectExit(first, 1);
    expect(first.stderr).toContain('the server runs with its former configuration');
    expect(await standby.value('SHOW max_connections')).toBe('40');

    standby.writeIni({ stop_command: undefined, start_timeout: 30 });
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    expect(await standby.value('SHOW max_connections')).toBe('41');
    expect(standby.failoverActions()).toBe(1);
  });
});
