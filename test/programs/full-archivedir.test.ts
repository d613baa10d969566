import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, pretendRunning, privatePath, startShipper, untilMarked } from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

/** Two standbys, the first one down, and not a byte left in l_archivedir. */
async function fullCluster(ini: Record<string, string> = {}) {
  const disk = await smallDisk();
  world.onClose(() => {
    disk.release();
  });
  const place = join(disk.directory, 'l_archive');
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini: { l_archivedir: place, ...ini } });
  pretendRunning(world, cluster);
  const [down, up] = cluster.standbys;
  if (down === undefined || up === undefined) throw new Error('no standby');
  await down.sshd.kill();
  disk.fill();
  return { cluster, disk, down, up, place };
}

/** What was said of the standby that is down. */
function severities(cluster: FakeCluster): string[] {
  const ofDown = cluster.host.notificationFacts().filter((facts) => facts['PITRTOOLS_STANDBY'] === 's1');
  return ofDown.map((facts) => facts['PITRTOOLS_SEVERITY'] ?? '');
}

// Without them nothing is full: scripts/test mounts them where it may.
describe.skipIf(!hasSmallDisks())('an l_archivedir on a full disk', () => {
  test('is reported only once by all calls of archive_command, and not again by a running shipper', async () => {
    const { cluster, up, disk, down } = await fullCluster();
    for (const number of [1, 2, 3, 4]) {
      cluster.addSegment(cluster.segment(number), { seed: number });
      const run = await cluster.archive(cluster.segment(number));
      expect(run).toMatchObject({ code: 1 });
    }
    // No program waits for the command that notifies.
    await eventually(() => severities(cluster).length > 0);
    expect(severities(cluster)).toEqual(['critical']);

    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 5, 3).keys()];
    await eventually(() => segments.every((name) => archivedFiles(up).includes(name)));
    const notFree = await cluster.archive(cluster.segment(5));
    expect(notFree).toMatchObject({ code: 1 });
    expect(severities(cluster)).toEqual(['critical']);

    disk.relieve();
    await down.sshd.start();
    await untilMarked(cluster, segments);
    await eventually(() => severities(cluster).at(-1) === 'ok');
    expect(severities(cluster)).toEqual(['critical', 'ok']);
  });

  test('does not prevent --abandon, and a hanging notify command delays no program', async () => {
    const host = await world.host('primary');
    const calls = join(host.directory, 'calls');
    const hanging = (severity: string) =>
      writeScript(host, `hangs-${severity}`, `echo ${severity} $$ >> '${calls}'\nexec sleep 600`);
    const called = (): string[] => readFileSync(calls, 'utf8').trim().split('\n');
    const { cluster, up } = await fullCluster({
      queue_full: 'abandon',
      ssh_timeout: '1',
      notify_critical: hanging('critical'),
      notify_warning: hanging('warning'),
    });
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 3).keys()];
    await untilMarked(cluster, segments);
    expect(archivedFiles(up)).toEqual(segments);
    const state: unknown = JSON.parse(readFileSync(privatePath(cluster, 's1.json'), 'utf8'));
    expect(state).toMatchObject({ health: 'abandoned', abandoned: { by: 'policy' } });
    await eventually(() => existsSync(calls) && called().some((line) => line.startsWith('critical ')));
    expect(called().filter((line) => line.startsWith('critical '))).toHaveLength(1);
    for (const line of called()) process.kill(Number(line.split(' ')[1]));
  });
});
