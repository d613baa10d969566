import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hangingListener } from '../harness/network.ts';
import { test } from '../harness/test.ts';
import { archivedBytes, archivedFiles, prepareArchive, readyCluster } from './archiver-cluster.ts';

describe('archive_command', () => {
  test('delivers a segment to every standby, byte for byte, and prints nothing on standard output', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    const name = cluster.segment(1);
    const bytes = cluster.addSegment(name);
    const result = await cluster.archive(name);
    expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' });
    for (const standby of cluster.standbys) {
      expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
      expect(statSync(join(standby.archiveDir, name)).mode & 0o777).toBe(0o600);
      expect(cluster.queue(standby.name)).toEqual([]);
    }
    expect(cluster.host.notifications()).toEqual([]);
  });

  test('succeeds again for the same file', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    expect((await cluster.archive(name)).code).toBe(0);
    const [standby] = cluster.standbys;
    expect(standby && readdirSync(join(standby.archiveDir, '.incoming'), { recursive: true })).toHaveLength(
      2,
    );
  });

  test.for([2, 3])(
    'delivers to a directory with any name, with rsync_version %i',
    async (version, { world }) => {
      const cluster = await readyCluster(world, { slaves: ['s1'] });
      const [standby] = cluster.standbys;
      if (standby === undefined) throw new Error('no standby');
      const archive = join(standby.directory, `it's a "$HOME" & more*`);
      renameSync(standby.archiveDir, archive);
      cluster.writeIni({ rsync_version: version }, { s1: { r_archivedir: archive } });
      const name = cluster.segment(1);
      const bytes = cluster.addSegment(name);
      expect(await cluster.archive(name)).toMatchObject({ code: 0, stderr: '' });
      expect(readFileSync(join(archive, name)).equals(bytes)).toBe(true);
    },
  );

  test('ships history, backup and partial files', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const [standby] = cluster.standbys;
    cluster.addFile('00000002.history', '1\t0/300000\tno recovery target specified\n');
    cluster.addFile(`${cluster.segment(3)}.00000028.backup`, 'START WAL LOCATION: 0/300028\n');
    cluster.addSegment(cluster.segment(3));
    cluster.addFile(`${cluster.segment(3)}.partial`, cluster.addSegment(cluster.segment(3)));
    const names = [
      '00000002.history',
      `${cluster.segment(3)}.00000028.backup`,
      `${cluster.segment(3)}.partial`,
    ];
    for (const name of names) expect(await cluster.archive(name)).toMatchObject({ code: 0, stderr: '' });
    expect(standby && archivedFiles(standby)).toEqual([...names].sort());
  });

  test('accepts the first segment after a promotion, whose header names the old timeline', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const name = cluster.segment(3, 2);
    cluster.addSegment(name, { headerTimeline: 1 });
    expect(await cluster.archive(name)).toMatchObject({ code: 4 });
    cluster.addFile('00000002.history', '1\t0/300000\tno recovery target specified\n');
    expect(await cluster.archive(name)).toMatchObject({ code: 0 });
  });
});

describe('a standby that is down', () => {
  test('gets its WAL from the queue in order and unchanged, and each change of its state causes one notification', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    const [s1, s2] = cluster.standbys;
    if (s1 === undefined || s2 === undefined) throw new Error('no standby');
    await s1.sshd.kill();
    const sent = [1, 2, 3].map((number) => {
      const name = cluster.segment(number);
      return { name, bytes: cluster.addSegment(name, { seed: number }) };
    });
    for (const { name } of sent) expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual(sent.map(({ name }) => name));
    expect(archivedFiles(s2)).toEqual(sent.map(({ name }) => name));
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['warning']);
    expect(cluster.host.notificationFacts()[0]).toMatchObject({
      PITRTOOLS_PROGRAM: 'cmd_archiver',
      PITRTOOLS_STANDBY: 's1',
      PITRTOOLS_SEVERITY: 'warning',
      PITRTOOLS_SEGMENT: sent[0]?.name,
      PITRTOOLS_QUEUE_LENGTH: '1',
    });

    await s1.sshd.start();
    cluster.forgetTrouble('s1');
    const last = cluster.segment(4);
    const bytes = cluster.addSegment(last, { seed: 4 });
    expect((await cluster.archive(last)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([]);
    for (const each of [...sent, { name: last, bytes }]) {
      expect(archivedBytes(s1, each.name).equals(each.bytes)).toBe(true);
    }
    const stored = [...sent.map(({ name }) => name), last];
    const times = stored.map((name) => statSync(join(s1.archiveDir, name), { bigint: true }).ctimeNs);
    expect([...times].sort()).toEqual(times);
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['warning', 'ok']);
  });
});

test('other standbys get their WAL while one rsync hangs (bug of the original: one hung rsync stalls every standby)', async ({
  world,
}) => {
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini: { ssh_timeout: 2 } });
  const [s1, s2] = cluster.standbys;
  if (s1 === undefined || s2 === undefined) throw new Error('no standby');
  const silent = await hangingListener();
  world.onClose(() => silent.close());
  cluster.host.routeTo(s1, silent);
  const names = [1, 2, 3].map((number) => cluster.segment(number));
  for (const name of names) cluster.addSegment(name);
  const first = await cluster.archive(names[0] ?? '');
  expect(first.code).toBe(0);
  expect(first.timedOut).toBe(false);
  const asked = silent.accepted();
  expect(asked).toBeGreaterThan(0);
  // Known to be bad from now on: nobody waits for it.
  const second = await cluster.archive(names[1] ?? '');
  expect(second.code).toBe(0);
  expect(silent.accepted()).toBe(asked);
  expect(cluster.queue('s1')).toEqual(names.slice(0, 2));
  expect(archivedFiles(s2)).toEqual(names.slice(0, 2));
  cluster.host.routeTo(s1);
  cluster.forgetTrouble('s1');
  expect((await cluster.archive(names[2] ?? '')).code).toBe(0);
  expect(archivedFiles(s1)).toEqual(names);
  expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['warning', 'ok']);
});

test('a standby that is not initialized gets its queue as soon as it is initialized', async ({ world }) => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const late = await world.host('late');
  cluster.writeIni({ slaves: 's1, late' }, { late: { r_archivedir: late.archiveDir } });
  expect((await cluster.run(['-I'])).code).toBe(0);
  cluster.addSegment(cluster.segment(1));
  expect((await cluster.archive(cluster.segment(1))).code).toBe(0);
  expect(cluster.queue('late')).toEqual([cluster.segment(1)]);
  prepareArchive(late, cluster.systemIdentifier);
  cluster.forgetTrouble('late');
  cluster.addSegment(cluster.segment(2));
  expect((await cluster.archive(cluster.segment(2))).code).toBe(0);
  expect(archivedFiles(late)).toEqual([cluster.segment(1), cluster.segment(2)]);
});
