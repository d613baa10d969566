import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { run, start } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, pretendRunning, untilMarked } from './shipper-kit.ts';

const unitFile = checkout('etc', 'pitrtools-shipper.service');
const analyze = '/usr/bin/systemd-analyze';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

/** The unit with the places of this machine, set as its comment asks. */
function unitFor(cluster: FakeCluster): string {
  return readFileSync(unitFile, 'utf8')
    .replace('User=postgres', `User=${world.user}`)
    .replace(/(?<=^ExecStart=)\S+/m, checkout('bin', 'cmd_archiver'))
    .replace(/(?<=-C )\S+/, cluster.iniFile);
}

test('the command of the service unit ships WAL, and its stop by SIGTERM is no failure', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  pretendRunning(world, cluster);
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(unitFor(cluster)) ?? [];
  const [program = '', ...args] = command.split(' ');
  expect(args).toEqual(['-C', cluster.iniFile, '--ship']);
  const shipper = start(program, args, { cwd: '/', env: cluster.host.env });
  await eventually(() => shipper.output().includes('shipping from'));
  await untilMarked(cluster, addReadySegments(cluster, 1, 2).keys());
  await eventually(() => cluster.standbys.every((standby) => archivedFiles(standby).length === 2));
  shipper.signal('SIGTERM');
  expect(await shipper.finished).toMatchObject({ code: 0, signal: null });
});

test.skipIf(!existsSync(analyze))('systemd-analyze reports no problem of the service unit', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const copy = join(cluster.host.directory, 'pitrtools-shipper.service');
  writeFileSync(copy, unitFor(cluster));
  const verify = (): ReturnType<typeof run> =>
    run(analyze, ['verify', '--man=no', copy], { env: { ...process.env, SYSTEMD_LOG_TARGET: 'console' } });
  const good = await verify();
  expect(good.code, good.stderr).toBe(0);
  expect(good.stderr).not.toContain('pitrtools-shipper');
  writeFileSync(copy, unitFor(cluster).replace('Restart=on-failure', 'Restart=now-and-then'));
  expect((await verify()).stderr).toMatch(/restart/i);
});
