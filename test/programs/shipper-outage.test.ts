import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, makeDone, pretendRunning, startShipper } from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

test('with four of eight standbys dead and one that hangs, three get all, and one wait is all that PostgreSQL pays', async () => {
  // Far longer than all the rest takes together: two waits would be seen on the slowest machine.
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
  const began = performance.now();
  for (const name of segments.keys()) {
    expect((await cluster.archive(name)).code).toBe(0);
    // Whoever is not reached has it queued by now.
    for (const { name: standby } of [...dead, ...(hung ? [hung] : [])]) {
      expect(cluster.queue(standby)).toContain(name);
    }
    makeDone(cluster, name);
  }
  expect(performance.now() - began).toBeLessThan(2 * queueAfterS * 1000);
  for (const standby of alive) expect(archivedFiles(standby)).toEqual([...segments.keys()]);

  for (const { sshd } of dead) await sshd.start();
  hung?.sshd.thaw();
  for (const standby of cluster.standbys) {
    await eventually(() => archivedFiles(standby).length === segments.size, { limitMs: 90_000 });
    await eventually(() => cluster.queue(standby.name).length === 0);
  }
});
