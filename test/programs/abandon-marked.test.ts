import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import {
  addReadySegments,
  isProvenByShell,
  marked,
  pretendRunning,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

// The shipper is ahead of PostgreSQL: it has marked segments that PostgreSQL has not asked for yet.

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

async function markedWhileDown(slaves: readonly string[]) {
  const cluster = await readyCluster(world, { slaves: [...slaves] });
  pretendRunning(world, cluster);
  for (const standby of cluster.standbys) await standby.sshd.kill();
  const shipper = await startShipper(cluster);
  const segments = [...addReadySegments(cluster, 1, 3).keys()];
  await untilMarked(cluster, segments);
  return { cluster, shipper, segments };
}

async function provenOf(cluster: FakeCluster, segments: readonly string[]): Promise<string[]> {
  const proven = await Promise.all(segments.map((segment) => isProvenByShell(cluster, segment)));
  return segments.filter((_, index) => proven[index]);
}

test('--abandon of the only standby withdraws all markers, and after --resume the standby gets all of that WAL', async () => {
  const { cluster, segments } = await markedWhileDown(['s1']);
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  expect(await provenOf(cluster, segments)).toEqual([]);
  expect((await cluster.archive(segments[0] ?? '')).code).toBe(4);
  expect(marked(cluster)).toEqual([]);
  expect(await cluster.run(['--resume', 's1'])).toMatchObject({ code: 0 });
  await cluster.standbys[0]?.sshd.start();
  await untilMarked(cluster, segments);
  for (const standby of cluster.standbys) expect(archivedFiles(standby)).toEqual(segments);
});

test('--abandon of the only standby withdraws all markers also if the shipper is dead', async () => {
  const { cluster, shipper, segments } = await markedWhileDown(['s1']);
  shipper.signal('SIGKILL');
  await shipper.finished;
  expect(await provenOf(cluster, segments)).toEqual(segments);
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  expect(await provenOf(cluster, segments)).toEqual([]);
});

test('if two standbys are abandoned one after the other, the second --abandon withdraws the markers', async () => {
  const { cluster, segments } = await markedWhileDown(['s1', 's2']);
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  // The other one has a copy: PostgreSQL waits for nothing.
  await untilMarked(cluster, segments);
  expect(await cluster.run(['--resume', 's1'])).toMatchObject({ code: 0 });
  expect(await cluster.run(['--abandon', 's2'])).toMatchObject({ code: 0 });
  // The first lost its copies when it was abandoned: none of them counts before it has them again.
  await untilMarked(cluster, segments);
  expect(cluster.queue('s1')).toEqual(segments);
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  expect(await provenOf(cluster, segments)).toEqual([]);
  expect((await cluster.archive(segments[0] ?? '')).code).toBe(4);
});

test('WAL does not count as safe at an abandoned standby, even if it was delivered there', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
  pretendRunning(world, cluster);
  const [up, down] = cluster.standbys;
  if (up === undefined || down === undefined) throw new Error('no standby');
  await down.sshd.kill();
  await startShipper(cluster);
  const segments = [...addReadySegments(cluster, 1, 3).keys()];
  await untilMarked(cluster, segments);
  await eventually(() => archivedFiles(up).length === 3);
  expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
  await untilMarked(cluster, segments);
  expect(await cluster.run(['--abandon', 's2'])).toMatchObject({ code: 0 });
  expect((await cluster.archive(segments[0] ?? '')).code).toBe(4);
  expect(marked(cluster)).toEqual([]);
});
