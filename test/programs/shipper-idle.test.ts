import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { familyOf, readProc } from '../harness/process-table.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, makeDone, pretendRunning, startShipper, untilMarked } from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

/** How often a process has begun to wait. While it sleeps, this does not change. */
function waitsOf(pid: number): string {
  return /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readProc(pid, 'status'))?.[1] ?? 'gone';
}

/** In how many of these seconds each process did something. */
async function busySeconds(pids: readonly number[], seconds: number): Promise<ReadonlyMap<number, number>> {
  const busy = new Map(pids.map((pid) => [pid, 0]));
  for (let second = 0; second < seconds; second++) {
    const before = pids.map(waitsOf);
    await delay(1_000);
    for (const [index, pid] of pids.entries())
      if (waitsOf(pid) !== before[index]) busy.set(pid, (busy.get(pid) ?? 0) + 1);
  }
  return busy;
}

test('with nothing to do, a shipper and its connections sleep for most of the time', async () => {
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini: { queue_after: 60 } });
  pretendRunning(world, cluster);
  const shipper = await startShipper(cluster);
  const names = [...addReadySegments(cluster, 1, 1).keys()];
  await untilMarked(cluster, names);
  for (const name of names) makeDone(cluster, name);
  // The look for what a standby may lack, and whatever else the first seconds bring.
  await delay(5_000);
  const processes = familyOf(shipper.pid).filter(({ commandLine }) =>
    /cmd-archiver\.js|ssh /.test(commandLine),
  );
  expect(processes.length).toBeGreaterThanOrEqual(3);
  const busy = await busySeconds(
    processes.map(({ pid }) => pid),
    30,
  );
  // One wake-up in five seconds may be counted in two of them.
  for (const { pid, commandLine } of processes) expect(busy.get(pid), commandLine).toBeLessThanOrEqual(15);

  const [next = ''] = addReadySegments(cluster, 2, 1).keys();
  await untilMarked(cluster, [next]);
  for (const standby of cluster.standbys) expect(archivedFiles(standby)).toContain(next);
  cluster.writeIni({ state: 'offline' });
  await eventually(() => shipper.output().includes('the configuration changed'));
}, 300_000);
