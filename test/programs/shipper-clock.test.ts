import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, pretendRunning, privatePath, startShipper } from './shipper-kit.ts';

/** From now on what Node runs on this host takes the clock to be three hours behind as soon as the function is called. */
function settableClock(host: Host): () => void {
  const isBack = join(host.directory, 'clock-is-back');
  const module = join(host.directory, 'bin', 'clock.mjs');
  const code = `import { existsSync } from 'node:fs';
const now = Date.now;
Date.now = () => now() - (existsSync(${JSON.stringify(isBack)}) ? 3 * 3_600_000 : 0);`;
  writeFileSync(module, code);
  host.env['NODE_OPTIONS'] = `--import=${module}`;
  return () => {
    writeFileSync(isBack, '');
  };
}

test('a standby that is left alone is tried again on time although the clock was set back', async ({
  world,
}) => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const setBack = settableClock(cluster.host);
  pretendRunning(world, cluster);
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  await s1.sshd.kill();
  const shipper = await startShipper(cluster);
  addReadySegments(cluster, 1, 2);
  await eventually(() => cluster.queue('s1').length === 2);
  // It rests for seconds by now, and nobody is speaking to it.
  await eventually(() => existsSync(privatePath(cluster, 's1.json')) && restMs(cluster.state('s1')) > 2_000, {
    limitMs: 120_000,
  });
  setBack();
  await s1.sshd.start();
  await eventually(() => archivedFiles(s1).length === 2, { limitMs: 120_000, what: 'all at the standby' });
  await eventually(() => cluster.queue('s1').length === 0);
  // Nor does it make the shipper overlook that its server is stopped.
  expect(shipper.output()).not.toContain('the shipper ends');
});

function restMs(state: Record<string, unknown>): number {
  return Number(state['retryAt'] ?? 0) - Date.now();
}
