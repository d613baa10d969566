import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster, segmentBytes } from './archiver-cluster.ts';
import {
  addReadySegments,
  isProvenByShell,
  makeDone,
  marked,
  pretendRunning,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

function criticals(cluster: FakeCluster): string[] {
  return cluster.host
    .notifications()
    .filter(({ severity }) => severity === 'critical')
    .map(({ message }) => message);
}

async function twoStandbysOneDown(ini: Record<string, string>): Promise<{
  readonly cluster: FakeCluster;
  readonly down: Host;
  readonly up: Host;
}> {
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini });
  pretendRunning(world, cluster);
  const [down, up] = cluster.standbys;
  if (down === undefined || up === undefined) throw new Error('no standby');
  await down.sshd.kill();
  return { cluster, down, up };
}

describe('a queue that has reached queue_max', () => {
  test('blocks: PostgreSQL keeps its WAL, other standbys get theirs, one critical notification is sent, and it continues later', async () => {
    const { cluster, down, up } = await twoStandbysOneDown({ queue_max: '3', queue_after: '5' });
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 8).keys()];
    await untilMarked(cluster, segments.slice(0, 3));
    await eventually(() => archivedFiles(up).length === 8);
    await eventually(() => criticals(cluster).length > 0);
    expect(cluster.queue('s1')).toEqual(segments.slice(0, 3));
    expect(marked(cluster).sort()).toEqual(segments.slice(0, 3));
    expect(criticals(cluster)[0]).toContain('its queue holds 3 files (queue_max)');
    const refused = await cluster.archive(segments[3] ?? '');
    expect(refused.code).toBeGreaterThan(0);
    expect(refused.code).toBeLessThanOrEqual(125);
    expect(refused.stderr).toContain('queue_max');
    await down.sshd.start();
    await untilMarked(cluster, segments);
    await eventually(() => archivedFiles(down).length === 8);
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
    expect(criticals(cluster)).toHaveLength(1);
  });

  test('is not reported again after PostgreSQL has archived the blocked segments', async () => {
    const { cluster, down, up } = await twoStandbysOneDown({ queue_max: '2', queue_after: '5' });
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 3).keys()];
    await eventually(() => criticals(cluster).length === 1);
    await eventually(() => archivedFiles(up).length === 3);
    for (const name of segments) makeDone(cluster, name);
    await down.sshd.start();
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
    await down.sshd.kill();
    const later = [...addReadySegments(cluster, 4, 1).keys()];
    await eventually(() => cluster.host.notifications().at(-1)?.severity !== 'ok');
    await untilMarked(cluster, later);
    await eventually(() => archivedFiles(up).length === 4);
    expect(cluster.host.notifications().at(-1)?.severity).toBe('warning');
    expect(criticals(cluster)).toHaveLength(1);
  });

  test('is measured in bytes if the INI file gives bytes', async () => {
    const { cluster } = await twoStandbysOneDown({ queue_max: `${2 * segmentBytes}B` });
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 4).keys()];
    await eventually(() => criticals(cluster).length > 0);
    expect(criticals(cluster)[0]).toContain('its queue holds 2 MB of 2 MB (queue_max)');
    expect(cluster.queue('s1')).toEqual(segments.slice(0, 2));
  });

  test('abandons its standby if the INI file says so: it is freed, the lost range is recorded, and other standbys are not affected', async () => {
    const { cluster, up } = await twoStandbysOneDown({
      queue_max: '3',
      queue_full: 'abandon',
      queue_after: '5',
    });
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 8).keys()];
    await untilMarked(cluster, segments);
    await eventually(() => archivedFiles(up).length === 8);
    await eventually(() => cluster.queue('s1').length === 0);
    await eventually(() => {
      const abandoned = cluster.state('s1')['abandoned'] as Record<string, string> | undefined;
      return abandoned?.['firstLost'] === segments[0] && abandoned?.['lastLost'] === segments[7];
    });
    expect(cluster.state('s1')).toMatchObject({ health: 'abandoned', abandoned: { by: 'policy' } });
    expect(cluster.queue('s2')).toEqual([]);
    expect(criticals(cluster).some((message) => message.includes('needs a new base backup'))).toBe(true);
  });

  test('does not abandon a standby that was slow only for a moment, however small it is', async () => {
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { queue_max: '2', queue_full: 'abandon', queue_after: '1', ssh_timeout: '30' },
    });
    pretendRunning(world, cluster);
    const [slow] = cluster.standbys;
    if (slow === undefined) throw new Error('no standby');
    const gate = join(cluster.host.directory, 'gate');
    writeFileSync(gate, '');
    // The disk of one standby is busy for a while.
    const body = `case "$*" in *${slow.archiveDir}*) while test -e ${gate}; do sleep 0.1; done ;; esac\nexec /usr/bin/rsync "$@"`;
    cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', body) });
    const shipper = await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 8).keys()];
    await eventually(() => shipper.output().includes('it will be abandoned unless it accepts WAL soon'));
    expect(cluster.queue('s1')).toHaveLength(2);
    // PostgreSQL waits, and keeps what it has. What was being read for the slow one is let go of first.
    await untilMarked(cluster, segments.slice(0, 2));
    expect(marked(cluster).sort()).toEqual(segments.slice(0, 2));
    rmSync(gate);
    await untilMarked(cluster, segments);
    for (const standby of cluster.standbys) await eventually(() => archivedFiles(standby).length === 8);
    expect((await cluster.run(['--resume', 's1'])).stdout).toContain('is not abandoned');
    expect(criticals(cluster)).toEqual([]);
  });

  test('does not acknowledge any segment if it abandons the only standby', async () => {
    const cluster = await readyCluster(world, {
      slaves: ['s1'],
      ini: { queue_max: '2', queue_full: 'abandon' },
    });
    pretendRunning(world, cluster);
    await cluster.standbys[0]?.sshd.kill();
    await startShipper(cluster);
    const segments = [...addReadySegments(cluster, 1, 4).keys()];
    await untilMarked(cluster, segments.slice(0, 2));
    await eventually(() => (cluster.state('s1')['abandoned'] as object | undefined) !== undefined);
    await eventually(() => cluster.queue('s1').length === 0);
    // The first two had been queued, and marked, before the queue was freed.
    for (const segment of segments) expect(await isProvenByShell(cluster, segment)).toBe(false);
    for (const at of [0, 1, 3]) expect((await cluster.archive(segments[at] ?? '')).code).toBe(4);
    expect(marked(cluster)).toEqual([]);
  });
});

test('queue_min_free applies on a file system with less free space', async () => {
  const { cluster, up } = await twoStandbysOneDown({ queue_min_free: '900TB' });
  await startShipper(cluster);
  addReadySegments(cluster, 1, 2);
  await eventually(() => criticals(cluster).length > 0);
  expect(criticals(cluster)[0]).toContain('(queue_min_free)');
  await eventually(() => archivedFiles(up).length === 2);
  expect(cluster.queue('s1')).toEqual([]);
  expect(marked(cluster)).toEqual([]);
  cluster.writeIni({ queue_min_free: '1MB' });
  await eventually(() => cluster.queue('s1').length === 2);
  await eventually(() => marked(cluster).length === 2);
});

describe.skipIf(!hasSmallDisks())('a full disk under l_archivedir', () => {
  async function fullDisk(ini: Record<string, string> = {}) {
    const disk = await smallDisk();
    world.onClose(() => {
      disk.release();
    });
    const place = join(disk.directory, 'l_archive');
    const two = await twoStandbysOneDown({ l_archivedir: place, queue_after: '5', ...ini });
    disk.fill(3 * segmentBytes + segmentBytes / 2);
    await startShipper(two.cluster);
    const segments = [...addReadySegments(two.cluster, 1, 8).keys()];
    return { ...two, disk, place, segments, queue: join(place, 's1') };
  }

  test('blocks archiving, which continues when there is space again', async () => {
    const { cluster, down, up, disk, place, queue } = await fullDisk();
    await eventually(() => archivedFiles(up).length === 8);
    await eventually(() => criticals(cluster).length > 0);
    expect(criticals(cluster)[0]).toContain('no space left');
    expect(readdirSync(queue).length).toBeLessThan(8);
    disk.relieve();
    await eventually(() => readdirSync(queue).length === 8);
    await eventually(() => readdirSync(join(place, '.archiver', 'tmp')).length === 0);
    await down.sshd.start();
    await eventually(() => archivedFiles(down).length === 8);
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
    expect(criticals(cluster)).toHaveLength(1);
  });

  test('abandons the standby if the INI file says so, and with space again the standby can be resumed', async () => {
    const { cluster, down, up, disk, place, segments, queue } = await fullDisk({ queue_full: 'abandon' });
    // Beside the marks lies the directory where they are made.
    const marks = join(place, '.archiver', 'current');
    await eventually(() => readdirSync(marks).length === segments.length + 1, { what: 'all marked' });
    expect(archivedFiles(up)).toEqual(segments);
    const critical = await eventually(() =>
      criticals(cluster).find((message) => message.includes('needs a new base backup')),
    );
    expect(critical).toContain(`lost: ${segments[0] ?? ''} to`);
    await eventually(() => readdirSync(queue).length === 0);
    for (const name of segments) makeDone(cluster, name);
    disk.relieve();
    await down.sshd.start();
    expect(await cluster.run(['--resume', 's1'])).toMatchObject({ code: 0 });
    const next = [...addReadySegments(cluster, 9, 2).keys()];
    await eventually(() => archivedFiles(up).length === 10);
    await eventually(() => archivedFiles(down).length === 2);
    expect(archivedFiles(down)).toEqual(next);
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
  });
});
