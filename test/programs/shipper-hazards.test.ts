import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { processesOf } from '../harness/process-table.ts';
import { sendSignal } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import {
  archivedBytes,
  archivedFiles,
  prepareArchive,
  readyCluster,
  writeControlFile,
} from './archiver-cluster.ts';
import {
  addReadySegments,
  isProvenByShell,
  makeDone,
  makeReady,
  marked,
  pretendRunning,
  privatePath,
  shipperPids,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

const rounds = process.env['PITRTOOLS_TEST_LONG'] === '1' ? 50 : 5;

test(
  `if two shippers start at the same time, ${String(rounds)} times, only one keeps running`,
  { timeout: 300_000 },
  async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    for (let round = 0; round < rounds; round++) {
      const both = [cluster.start(['--ship']), cluster.start(['--ship'])];
      const loser = await Promise.race(both.map((one) => one.finished));
      expect(loser.code).toBe(1);
      expect(loser.stderr).toContain('a shipper already works for');
      // From then on it hears the signal; before, it dies of it like any program.
      await eventually(() => both.some((one) => one.output().includes('shipping from')));
      // A child that it has just forked looks like a second one for a moment.
      await eventually(() => shipperPids(cluster.host).length === 1);
      for (const one of both) one.signal('SIGTERM');
      const codes = await Promise.all(both.map(async (one) => (await one.finished).code));
      expect(codes.sort()).toEqual([0, 1]);
    }
  },
);

describe('the marker of a segment', () => {
  test('is not valid after the segment was written again, even with an earlier time', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const [name = ''] = [...addReadySegments(cluster, 1, 1).keys()];
    const shipper = await startShipper(cluster);
    await untilMarked(cluster, [name]);
    expect(await isProvenByShell(cluster, name)).toBe(true);
    const path = join(cluster.pgdata, 'pg_wal', name);
    shipper.killFamily();
    await shipper.finished;
    // As after a return to a snapshot with the clock set back: the marker is newer than the segment.
    cluster.addSegment(name, { seed: 99 });
    utimesSync(path, new Date('2020-01-01'), new Date('2020-01-01'));
    const marker = privatePath(cluster, 'current', name);
    expect(() => execFileSync('/usr/bin/dash', ['-c', `[ ${marker} -nt ${path} ]`])).not.toThrow();
    expect(await isProvenByShell(cluster, name)).toBe(false);
    expect(await isProvenByShell(cluster, name, '/usr/bin/bash')).toBe(false);
    // The standby holds other bytes of that name: refused there, and never replaced.
    const other = readFileSync(path);
    await cluster.archive(name);
    await eventually(() =>
      cluster.host
        .notifications()
        .some(
          ({ severity, message }) => severity === 'critical' && message.includes('a different file named'),
        ),
    );
    const [s1] = cluster.standbys;
    expect(s1 && archivedBytes(s1, name).equals(other)).toBe(false);
  });

  test('is not valid for a cluster that was made by a new initdb in the same directory', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const [name = ''] = [...addReadySegments(cluster, 1, 1).keys()];
    const shipper = await startShipper(cluster);
    await untilMarked(cluster, [name]);
    writeControlFile(cluster.pgdata, 7_000_000_000_000_000_002n);
    cluster.addSegment(name, { systemIdentifier: 7_000_000_000_000_000_002n });
    expect(await isProvenByShell(cluster, name)).toBe(false);
    // The shipper sees whom it would ship for, and goes.
    expect((await shipper.finished).stderr).toContain('the shipper ends');
    const refused = await cluster.archive(name);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain('belongs to cluster');
  });

  test('is not valid for a standby that was just added, even before the shipper has noticed that', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const s2 = await world.host('s2');
    prepareArchive(s2, cluster.systemIdentifier);
    const [name = ''] = [...addReadySegments(cluster, 1, 1).keys()];
    await startShipper(cluster);
    await untilMarked(cluster, [name]);
    const [pid = 0] = shipperPids(cluster.host);
    sendSignal(pid, 'SIGSTOP');
    cluster.writeIni({ slaves: 's1, s2' }, { s2: { r_archivedir: s2.archiveDir } });
    // The marker stands, with the segment's own time: a reader that looks no further takes the segment for safe.
    const [marker, path] = [privatePath(cluster, 'current', name), join(cluster.pgdata, 'pg_wal', name)];
    const naive = `[ -e ${marker} ] && ! [ ${marker} -nt ${path} ] && ! [ ${marker} -ot ${path} ]`;
    expect(() => execFileSync('/usr/bin/dash', ['-c', naive])).not.toThrow();
    expect(await isProvenByShell(cluster, name)).toBe(false);
    expect(await isProvenByShell(cluster, name, '/usr/bin/bash')).toBe(false);
    sendSignal(pid, 'SIGCONT');
    await eventually(() => archivedFiles(s2).includes(name));
    await untilMarked(cluster, [name]);
    expect(await isProvenByShell(cluster, name)).toBe(true);
  });

  test('is not valid from the moment at which the INI file changes, and an unusable INI file accepts no segment', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    pretendRunning(world, cluster);
    const [name = ''] = [...addReadySegments(cluster, 1, 1).keys()];
    const shipper = await startShipper(cluster);
    await untilMarked(cluster, [name]);
    cluster.writeIni({ state: 'offline' });
    expect(await isProvenByShell(cluster, name)).toBe(false);
    expect((await cluster.archive(name)).code).toBe(4);
    await eventually(() => marked(cluster).length === 0);
    writeFileSync(cluster.iniFile, 'nonsense');
    await eventually(() => shipper.output().includes('the configuration file cannot be used'));
    cluster.writeIni({ state: 'online' });
    await untilMarked(cluster, [name]);
    expect(await isProvenByShell(cluster, name)).toBe(true);
  });
});

test('a segment that is recycled before a slow lane has sent it was queued first, and is not sent from pg_wal', async ({
  world,
}) => {
  const cluster = await readyCluster(world, { slaves: ['s1'], ini: { ssh_timeout: 20 } });
  pretendRunning(world, cluster);
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  const began = join(cluster.host.directory, 'began');
  // The first transfer reads slowly; those from the queue are quick.
  const body = `case "$*" in *pg_wal*) touch ${began}; exec sleep 600 ;; esac\nexec /usr/bin/rsync "$@"`;
  cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', body) });
  await startShipper(cluster);
  const segments = addReadySegments(cluster, 1, 1);
  const [[name, bytes] = ['', Buffer.of()]] = segments;
  await eventually(() => existsSync(began));
  await untilMarked(cluster, [name]);
  // From the marker on PostgreSQL may do this at once: no process may still be reading the file.
  const sleepers = processesOf(cluster.host.directory).filter(({ commandLine }) =>
    commandLine.includes('sleep 600'),
  );
  // The one that is left plays the postmaster.
  expect(sleepers).toHaveLength(1);
  makeDone(cluster, name);
  const path = join(cluster.pgdata, 'pg_wal', name);
  copyFileSync(path, join(cluster.pgdata, 'pg_wal', cluster.segment(9)));
  rmSync(path);
  await eventually(() => archivedFiles(s1).includes(name));
  expect(archivedBytes(s1, name).equals(bytes)).toBe(true);
});

test('a stopped shipper delays PostgreSQL only briefly, and does no harm when it continues', async ({
  world,
}) => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  pretendRunning(world, cluster);
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  await startShipper(cluster);
  const [pid = 0] = shipperPids(cluster.host);
  sendSignal(pid, 'SIGSTOP');
  const [[name, bytes] = ['', Buffer.of()]] = addReadySegments(cluster, 1, 1);
  const result = await cluster.archive(name);
  expect(result.code).toBe(0);
  expect(result.timedOut).toBe(false);
  expect(archivedFiles(s1).includes(name) || cluster.queue('s1').includes(name)).toBe(true);
  makeDone(cluster, name);
  sendSignal(pid, 'SIGCONT');
  const next = cluster.segment(2);
  cluster.addSegment(next);
  makeReady(cluster, next);
  await untilMarked(cluster, [next]);
  await eventually(() => archivedFiles(s1).includes(name));
  expect(archivedBytes(s1, name).equals(bytes)).toBe(true);
  expect(marked(cluster)).toEqual([next]);
});

test(
  'a standby that does not answer delays PostgreSQL by no more than queue_after and one copy',
  { timeout: 300_000 },
  async ({ world }) => {
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { ssh_timeout: 60, queue_after: 20 },
    });
    pretendRunning(world, cluster);
    const [hung, fine] = cluster.standbys;
    if (hung === undefined || fine === undefined) throw new Error('no standby');
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 1, 3).keys()];
    await untilMarked(cluster, first);
    hung.sshd.freeze();
    const second = [...addReadySegments(cluster, 4, 10).keys()];
    // One wait for all of them: one for each would take longer than this.
    await untilMarked(cluster, second, 150_000);
    // It is known to be bad by now: there is no wait for any of them.
    cluster.writeIni({ queue_after: 3600 });
    const third = [...addReadySegments(cluster, 14, 3).keys()];
    await untilMarked(cluster, third, 100_000);
    await eventually(() => archivedFiles(fine).length === 16);
    hung.sshd.thaw();
    await eventually(() => archivedFiles(hung).length === 16);
    await eventually(() => cluster.queue(hung.name).length === 0);
  },
);
