import { existsSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { processesOf } from '../harness/process-table.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { addReadySegments, pretendRunning, shipperPids, startShipper, untilMarked } from './shipper-kit.ts';

/** Has an rsync between that notes its niceness and its arguments, one line each. */
function noteTransfers(cluster: FakeCluster): () => string[] {
  const log = join(cluster.host.directory, 'rsync.log');
  const body = `echo "$(nice) $*" >>${log}\nexec /usr/bin/rsync "$@"`;
  cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', body) });
  return () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
}

test('ship_nice applies to the shipper, its ssh and its rsync, and ship_bwlimit and -z reach rsync', async ({
  world,
}) => {
  const cluster = await readyCluster(world, {
    slaves: ['s1'],
    ini: { ship_nice: 7, ship_bwlimit: '20MB' },
  });
  pretendRunning(world, cluster);
  const transfers = noteTransfers(cluster);
  await startShipper(cluster);
  await untilMarked(cluster, addReadySegments(cluster, 1, 2).keys());
  await eventually(() => archivedFiles(cluster.host).length === 0 && transfers().length > 0);
  const niceness = (): number[] => shipperPids(cluster.host).map((pid) => getPriority(pid));
  expect(niceness()).toContain(7);
  const ssh = processesOf(cluster.host.directory).filter(({ commandLine }) =>
    commandLine.includes('ControlMaster=yes'),
  );
  expect(ssh.length).toBeGreaterThan(0);
  for (const { pid } of ssh) expect(getPriority(pid)).toBe(7);
  for (const line of transfers()) {
    expect(line).toMatch(/^7 /);
    expect(line).toMatch(/ --bwlimit=20480 /);
    expect(line).toMatch(/ -z /);
  }
  cluster.writeIni({ ship_nice: 9 });
  await eventually(() => niceness().includes(9), { what: 'the niceness of the changed INI' });
});

test('an empty rsync_flags means no compression, a flag for compression is used, and nothing is limited by default', async ({
  world,
}) => {
  const ini = { rsync_flags: '', ship_bwlimit: '0' };
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini });
  cluster.writeIni({}, { s2: { rsync_flags: '--compress --compress-level=1' } });
  pretendRunning(world, cluster);
  const transfers = noteTransfers(cluster);
  await startShipper(cluster);
  await untilMarked(cluster, addReadySegments(cluster, 1, 1).keys());
  const [s1, s2] = cluster.standbys.map(({ archiveDir }) =>
    transfers().find((line) => line.includes(archiveDir)),
  );
  expect(s1).toBeDefined();
  expect(s1).not.toMatch(/ -z |--compress|--bwlimit/);
  expect(s2).toMatch(/ --compress --compress-level=1 /);
  expect(s1).toMatch(new RegExp(`^${String(getPriority())} `));
});
