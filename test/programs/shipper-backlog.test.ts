import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { pretendRunning, shipperPids, startShipper } from './shipper-kit.ts';

const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const [few, many] = isLong ? [100, 10_000] : [100, 1_000];

/** A queue's files are not looked into, so small ones will do: what counts is what each takes beside its bytes. */
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

/** Waits until the queue is empty; the shipper's peak memory in kB. */
async function drain(cluster: FakeCluster, from: number, count: number): Promise<number> {
  fillQueue(cluster, from, count);
  const shipper = await startShipper(cluster);
  await eventually(() => readdirSync(join(cluster.lArchiveDir, 's1')).length === 0, { limitMs: 600_000 });
  const [pid = 0] = shipperPids(cluster.host);
  const memory = peakMemoryKb(pid);
  shipper.signal('SIGTERM');
  await shipper.finished;
  return memory;
}

test(
  `${String(many)} queued files need no more memory than ${String(few)}`,
  { timeout: 900_000 },
  async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const fewKb = await drain(cluster, 1, few);
    const manyKb = await drain(cluster, 1_000_001, many);
    const [s1] = cluster.standbys;
    expect(s1 && archivedFiles(s1)).toHaveLength(few + many);
    // Half of what the program takes by itself is room enough for chance. The time is measured by scripts/bench.
    expect(manyKb, `${String(fewKb)} kB for ${String(few)}`).toBeLessThan(1.5 * fewKb);
  },
);
