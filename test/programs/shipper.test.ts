import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import { archivedBytes, archivedFiles, readyCluster } from './archiver-cluster.ts';
import {
  addReadySegments,
  isProvenByShell,
  makeDone,
  marked,
  pretendRunning,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

describe('--ship', () => {
  test('ships ready files to every standby and makes markers, and removes a marker with its .ready file', async ({
    world,
  }) => {
    // However slow this machine is, nothing goes by way of a queue.
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini: { queue_after: 60 } });
    pretendRunning(world, cluster);
    const first = addReadySegments(cluster, 1, 20);
    const shipper = await startShipper(cluster);
    await untilMarked(cluster, first.keys());
    const more = addReadySegments(cluster, 21, 5);
    await untilMarked(cluster, more.keys());
    for (const standby of cluster.standbys) {
      for (const [name, bytes] of [...first, ...more]) {
        expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
      }
      expect(cluster.queue(standby.name)).toEqual([]);
    }
    for (const name of [...first.keys(), ...more.keys()]) {
      expect(await isProvenByShell(cluster, name)).toBe(true);
      makeDone(cluster, name);
    }
    await eventually(() => marked(cluster).length === 0);
    shipper.signal('SIGTERM');
    expect(await shipper.finished).toMatchObject({ code: 0 });
  });

  test('queues WAL for a standby that is down, and delivers it when the standby is back', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    pretendRunning(world, cluster);
    const [s1, s2] = cluster.standbys;
    if (s1 === undefined || s2 === undefined) throw new Error('no standby');
    await s1.sshd.kill();
    const shipper = await startShipper(cluster);
    const segments = addReadySegments(cluster, 1, 10);
    await untilMarked(cluster, segments.keys());
    await eventually(() => archivedFiles(s2).length === 10);
    expect(cluster.queue('s1')).toEqual([...segments.keys()]);
    await s1.sshd.start();
    await eventually(() => archivedFiles(s1).length === 10);
    await eventually(() => cluster.queue('s1').length === 0);
    shipper.signal('SIGTERM');
    expect((await shipper.finished).code).toBe(0);
  });
});
