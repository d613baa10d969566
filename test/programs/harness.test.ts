import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import { processesOf } from '../harness/process-table.ts';
import { createWorld, type World } from '../harness/world.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

describe.each(testMajors())('the harness on PostgreSQL %i', (major) => {
  test('runs a primary that archives, ssh between hosts, and survives a kill', async () => {
    world = await createWorld({ major });
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

test('closing a world ends what was started in it and removes its directory', async () => {
  const here = await createWorld({ major: testMajors()[0] ?? 15 });
  const primary = await here.startPrimary({ settings: { archive_mode: false } });
  expect(processesOf(here.directory).length).toBeGreaterThan(3);
  await here.close();
  expect(primary.isRunning()).toBe(false);
  expect(processesOf(here.directory)).toEqual([]);
  expect(existsSync(here.directory)).toBe(false);
});

test('two hosts of a world are told apart by address and by name', async () => {
  world = await createWorld({ major: testMajors()[0] ?? 15 });
  const [a, b] = [await world.host('a'), await world.host('b')];
  expect(a.address).not.toBe(b.address);
  expect((await a.runOn('b', 'true')).code).toBe(0);
  expect((await b.runOn(a.address, 'true')).code).toBe(0);

  await b.sshd.kill();
  expect((await a.runOn('b', 'true')).code).toBe(255);
  await b.sshd.start();
  expect((await a.runOn('b', 'true')).code).toBe(0);
});

test('a notify command leaves its severity, its message and its facts', async () => {
  world = await createWorld({ major: testMajors()[0] ?? 15 });
  const host = await world.host('a');
  await host.runOn('a', `PITRTOOLS_STANDBY='s 1' ${host.notify('warning')} 'it is late'`);
  await eventually(() => host.notificationFacts().length === 1);
  expect(host.notifications()).toEqual([{ severity: 'warning', message: 'it is late' }]);
  expect(host.notificationFacts()).toEqual([{ PITRTOOLS_STANDBY: 's 1' }]);
  expect(readFileSync(host.sshd.log, 'utf8')).toContain('Accepted publickey');
});
