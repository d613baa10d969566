import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, readyCluster, type FakeCluster } from './archiver-cluster.ts';
import { pretendRunning, shipperPids, startShipper } from './shipper-kit.ts';

const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const [few, many] = isLong ? [100, 10_000] : [100, 1_000];

/** A queue's files are not looked into, so small ones will do: what is measured is what each costs beside its bytes. */
function fillQueue(cluster: FakeCluster, from: number, count: number): void {
  const queue = join(cluster.lArchiveDir, 's1');
  mkdirSync(queue, { recursive: true });
  for (let number = from; number < from + count; number++) {
    writeFileSync(join(queue, cluster.segment(number)), `segment ${String(number)}`);
  }
}

function peakMemoryKb(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]);
}

/** Milliseconds until the queue is empty, and the shipper's peak memory. */
async function drain(cluster: FakeCluster, from: number, count: number): Promise<[number, number]> {
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  fillQueue(cluster, from, count);
  const shipper = await startShipper(cluster);
  await eventually(() => archivedFiles(s1).includes(cluster.segment(from)), { everyMs: 5 });
  const began = performance.now();
  await eventually(() => readdirSync(join(cluster.lArchiveDir, 's1')).length === 0, {
    limitMs: 600_000,
    everyMs: 5,
  });
  const took = performance.now() - began;
  const [pid = 0] = shipperPids(cluster.host);
  const memory = peakMemoryKb(pid);
  shipper.signal('SIGTERM');
  await shipper.finished;
  return [took, memory];
}

test(
  `${String(many)} queued files cost per file what ${String(few)} cost`,
  { timeout: 900_000 },
  async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const [fewMs, fewKb] = await drain(cluster, 1, few);
    const [manyMs, manyKb] = await drain(cluster, 1_000_001, many);
    const [s1] = cluster.standbys;
    expect(s1 && archivedFiles(s1)).toHaveLength(few + many);
    const [perFew, perMany] = [fewMs / few, manyMs / many];
    console.log(
      `per file ${perFew.toFixed(2)} and ${perMany.toFixed(2)} ms, memory ${String(fewKb)} and ${String(manyKb)} kB`,
    );
    expect(manyKb / fewKb).toBeLessThan(1.5);
    // The time is shown only: on a busy machine the few may arrive all at once. scripts/bench measures it.
  },
);
