import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { packetSink } from '../harness/network.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, makeDone, pretendRunning, startShipper } from './shipper-kit.ts';

test('with four of eight standbys dead and one hanging, three get all WAL, and PostgreSQL waits only once', async ({
  world,
}) => {
  // Far longer than a call takes by itself: each that waits is seen on the slowest machine.
  const queueAfterS = 10;
  const slaves = Array.from({ length: 8 }, (_, index) => `s${index + 1}`);
  const cluster = await readyCluster(world, {
    slaves,
    ini: { queue_after: queueAfterS, ssh_timeout: 60 },
  });
  pretendRunning(world, cluster);
  const [hung, ...others] = cluster.standbys;
  const dead = others.slice(0, 4);
  const alive = others.slice(4);
  for (const { sshd } of dead) await sshd.kill();
  hung?.sshd.freeze();
  await startShipper(cluster);

  const segments = addReadySegments(cluster, 1, 30);
  const waits: number[] = [];
  for (const name of segments.keys()) {
    const { code, ms } = await cluster.archive(name);
    expect(code).toBe(0);
    if (ms >= queueAfterS * 1000) waits.push(ms);
    // By now it is queued for each standby that cannot be reached.
    for (const { name: standby } of [...dead, ...(hung ? [hung] : [])]) {
      expect(cluster.queue(standby)).toContain(name);
    }
    makeDone(cluster, name);
  }
  expect(waits.length).toBeLessThanOrEqual(1);
  for (const standby of alive) expect(archivedFiles(standby)).toEqual([...segments.keys()]);

  for (const { sshd } of dead) await sshd.start();
  hung?.sshd.thaw();
  for (const standby of cluster.standbys) {
    await eventually(() => archivedFiles(standby).length === segments.size, { limitMs: 120_000 });
    await eventually(() => cluster.queue(standby.name).length === 0);
  }
});

test('an abandoned standby that does not answer delays PostgreSQL only once', async ({ world }) => {
  const queueAfterS = 6;
  const cluster = await readyCluster(world, {
    slaves: ['s1', 's2'],
    ini: { queue_after: queueAfterS, ssh_timeout: 30 },
  });
  pretendRunning(world, cluster);
  const [gone, fine] = cluster.standbys;
  if (gone === undefined || fine === undefined) throw new Error('no standby');
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  const sink = await packetSink();
  world.onClose(() => sink.close());
  cluster.host.routeTo(gone, sink);
  await startShipper(cluster);

  const segments = addReadySegments(cluster, 1, 8);
  const names = [...segments.keys()];
  const waits: number[] = [];
  for (const name of names) {
    const { code, ms } = await cluster.archive(name);
    expect(code).toBe(0);
    if (ms >= queueAfterS * 1000) waits.push(ms);
    makeDone(cluster, name);
  }
  expect(waits.length).toBeLessThanOrEqual(1);
  expect(archivedFiles(fine)).toEqual(names);
  // What was held for the answer is not kept, and on record as lost.
  await eventually(
    () => {
      const abandoned = cluster.state('s1')['abandoned'] as Record<string, string> | undefined;
      return abandoned?.['firstLost'] === names[0] && abandoned?.['lastLost'] === names.at(-1);
    },
    { limitMs: 120_000 },
  );
  await eventually(() => cluster.queue('s1').length === 0);
});
