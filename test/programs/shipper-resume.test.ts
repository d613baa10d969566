import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, readyCluster, type FakeCluster } from './archiver-cluster.ts';
import { addReadySegments, makeDone, pretendRunning, startShipper, untilMarked } from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

/** What is lost is counted when the lane has been spoken to: then the queue is freed as well. */
async function untilLost(cluster: FakeCluster, last: string): Promise<void> {
  await eventually(() => {
    const abandoned = cluster.state('s1')['abandoned'] as Record<string, string> | undefined;
    return abandoned?.['lastLost'] === last && cluster.queue('s1').length === 0;
  });
}

/** As `cmd_standby -B` does it. */
async function askToResume(cluster: FakeCluster): Promise<void> {
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  writeFileSync(join(s1.archiveDir, '.resume'), 'abc123\n');
  await eventually(() => cluster.state('s1')['abandoned'] === undefined, { limitMs: 60_000 });
}

describe('a standby that was abandoned is resumed as soon as it asks, without any new WAL', () => {
  test('when it was down and the policy gave it up', async () => {
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { queue_max: '2', queue_full: 'abandon' },
    });
    pretendRunning(world, cluster);
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    await s1.sshd.kill();
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 1, 4).keys()];
    await untilMarked(cluster, first);
    await untilLost(cluster, first[3] ?? '');
    for (const name of first) makeDone(cluster, name);
    await s1.sshd.start();
    await askToResume(cluster);
    const next = [...addReadySegments(cluster, 5, 3).keys()];
    await untilMarked(cluster, next);
    await eventually(() => archivedFiles(s1).length === 3);
    expect(archivedFiles(s1)).toEqual(next);
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
  });

  test('when a file with other bytes had stopped its lane, which is looked at once a minute otherwise', async () => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    pretendRunning(world, cluster);
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    writeFileSync(join(s1.archiveDir, cluster.segment(1)), 'another file');
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 1, 1).keys()];
    await untilMarked(cluster, first);
    await eventually(() => cluster.state('s1')['health'] === 'conflict');
    for (const name of first) makeDone(cluster, name);
    expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
    await askToResume(cluster);
    const next = [...addReadySegments(cluster, 2, 2).keys()];
    await untilMarked(cluster, next);
    await eventually(() => archivedFiles(s1).length === 3);
    expect(archivedFiles(s1)).toEqual([...first, ...next]);
  });
});
