import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { processesOf } from '../harness/process-table.ts';
import { test } from '../harness/test.ts';

test.override({ major: testMajors()[0] ?? 15 });

describe.each(testMajors())('the harness on PostgreSQL %i', (major) => {
  test.override({ major });

  test('makes clusters that only look alike: each has an identifier of its own, in its WAL too', async ({
    world,
  }) => {
    const identifiers = [];
    for (const name of ['one', 'other']) {
      const primary = await world.startPrimary({ name, settings: { archive_mode: false } });
      identifiers.push(await primary.value('SELECT system_identifier FROM pg_control_system()'));
      for (const segment of [await primary.switchWal(), await primary.switchWal()]) {
        const wal = readFileSync(join(primary.pgdata, 'pg_wal', segment));
        expect(String(wal.readBigUInt64LE(24))).toBe(identifiers.at(-1));
      }
    }
    expect(new Set(identifiers).size).toBe(2);
  });

  test('runs a primary that archives and ssh between hosts, and survives a kill', async ({ world }) => {
    const primary = await world.startPrimary({
      slaves: ['standby1', 'standby2'],
      settings: { archive_command: `cp %p ${world.directory}/standby1/%f` },
    });
    const standby = await world.addStandby('standby1', primary);

    expect(await primary.value('SHOW server_version')).toMatch(new RegExp(`^${major}\\b`));
    const hello = await primary.host.runOn('standby1', 'echo "from $SSH_CONNECTION"');
    expect(hello).toMatchObject({ code: 0, stdout: expect.stringContaining(standby.host.address) as string });

    const segment = await primary.switchWal();
    await primary.archived(segment);
    expect(existsSync(join(standby.host.directory, segment))).toBe(true);

    await primary.kill9();
    expect(primary.isRunning()).toBe(false);
    await primary.start();
    expect((await primary.archiver()).failed).toBe(0);
  });
});

test('closing a world ends all processes that were started in it and removes its directory', async ({
  world,
}) => {
  const primary = await world.startPrimary({ settings: { archive_mode: false } });
  expect(processesOf(world.directory).length).toBeGreaterThan(3);
  await world.close();
  expect(primary.isRunning()).toBe(false);
  expect(processesOf(world.directory)).toEqual([]);
  expect(existsSync(world.directory)).toBe(false);
});

test('two hosts of a world have different addresses and names', async ({ world }) => {
  const [a, b] = [await world.host('a'), await world.host('b')];
  expect(a.address).not.toBe(b.address);
  expect((await a.runOn('b', 'true')).code).toBe(0);
  expect((await b.runOn(a.address, 'true')).code).toBe(0);

  await b.sshd.kill();
  expect((await a.runOn('b', 'true')).code).toBe(255);
  await b.sshd.start();
  expect((await a.runOn('b', 'true')).code).toBe(0);
});

test('a notify command records its severity, its message and its details', async ({ world }) => {
  const host = await world.host('a');
  await host.runOn('a', `PITRTOOLS_STANDBY='s 1' ${host.notify('warning')} 'it is late'`);
  await eventually(() => host.notificationFacts().length === 1);
  expect(host.notifications()).toEqual([{ severity: 'warning', message: 'it is late' }]);
  expect(host.notificationFacts()).toEqual([{ PITRTOOLS_STANDBY: 's 1' }]);
  expect(readFileSync(host.sshd.log, 'utf8')).toContain('Accepted publickey');
});
