import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { createWorld, type World } from '../harness/world.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  prepareArchive,
  readyCluster,
} from './archiver-cluster.ts';
import {
  expectArchived,
  expectNothingLeft,
  frames,
  outage,
  programsWithoutZstd,
  queueSegments,
  recycle,
} from './queue-compress-kit.ts';
import {
  addReadySegments,
  makeDone,
  pretendRunning,
  startShipper,
  systemIdentifierOf,
  untilMarked,
} from './shipper-kit.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

function damage(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x55, at);
  writeFileSync(path, bytes);
}

describe('with queue_compress', () => {
  test('archive_command alone queues frames, --status counts their bytes, and --flush sends the segments', async () => {
    const { cluster, s1 } = await outage(world);
    const segments = await queueSegments(cluster, [1, 2, 3]);
    cluster.addFile('00000002.history', '1\t0/3000000\tno reason\n');
    expect(await cluster.archive('00000002.history')).toMatchObject({ code: 0 });
    segments.set('00000002.history', Buffer.from('1\t0/3000000\tno reason\n'));
    expect(cluster.queue('s1')).toEqual([...frames([...segments.keys()].slice(0, 3)), '00000002.history']);
    const bytes = cluster.queue('s1').reduce((sum, name) => sum + sizeInQueue(cluster, name), 0);
    const status = await cluster.run(['--status', '--json']);
    expect(JSON.parse(status.stdout)).toMatchObject({
      facts: { standbys: [{ name: 's1', queue: { value: { files: 4, bytes } } }] },
    });
    await s1.sshd.start();
    const flush = await cluster.run(['--flush']);
    expect(flush).toMatchObject({ code: 0 });
    expect(flush.stdout).toContain('Standby s1: 4 files sent, its queue is empty');
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
  });

  test('the shipper queues for two standbys once, and drains both kinds when the key was turned off between', async () => {
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { queue_compress: 'on', queue_after: 0 },
    });
    pretendRunning(world, cluster);
    for (const { sshd } of cluster.standbys) await sshd.kill();
    const shipper = await startShipper(cluster);
    const some = addReadySegments(cluster, 1, 3);
    await untilMarked(cluster, some.keys());
    const [first = ''] = some.keys();
    const [one, two] = ['s1', 's2'].map((name) => statSync(join(cluster.lArchiveDir, name, `${first}.zst`)));
    expect(one?.ino).toBe(two?.ino);
    for (const name of some.keys()) {
      makeDone(cluster, name);
      recycle(cluster, name);
    }
    cluster.writeIni({ queue_compress: 'off' });
    await eventually(() => /the configuration changed/.test(shipper.output()));
    const more = addReadySegments(cluster, 4, 3);
    await untilMarked(cluster, more.keys());
    expect(cluster.queue('s1')).toEqual([...frames(some.keys()), ...more.keys()]);
    for (const { sshd } of cluster.standbys) await sshd.start();
    const all = new Map([...some, ...more]);
    for (const standby of cluster.standbys) {
      await eventually(() => archivedFiles(standby).length === all.size, { limitMs: 120_000 });
      await eventually(() => cluster.queue(standby.name).length === 0, { limitMs: 120_000 });
      expectArchived(standby, all);
    }
    expectNothingLeft(cluster, 's1');
  });

  test('another content under the same name is refused, and the same one is not queued again', async () => {
    const { cluster, s1 } = await outage(world);
    const name = cluster.segment(1);
    const bytes = cluster.addSegment(name, { seed: 1 });
    for (const key of ['on', 'off', 'on']) {
      cluster.writeIni({ queue_compress: key });
      expect(await cluster.archive(name)).toMatchObject({ code: 0 });
    }
    expect(cluster.queue('s1')).toEqual([`${name}.zst`]);
    cluster.addSegment(name, { seed: 2 });
    for (const key of ['on', 'off']) {
      cluster.writeIni({ queue_compress: key });
      const refused = await cluster.archive(name);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/holds a different file named \w+\.zst/);
    }
    await s1.sshd.start();
    cluster.forgetTrouble('s1');
    await cluster.run(['--flush']);
    expectArchived(s1, new Map([[name, bytes]]));
  });

  test('queue_max limits the bytes on the disk, and --abandon frees and counts compressed segments', async () => {
    const { cluster } = await outage(world, { queue_max: '1MB' });
    const segments = await queueSegments(cluster, [1, 2, 3]);
    const names = [...segments.keys()];
    expect(cluster.queue('s1')).toEqual(frames(names));
    // Of the size of a segment, it takes all of that.
    cluster.writeIni({ queue_compress: 'off' });
    const next = cluster.segment(4);
    cluster.addSegment(next, { seed: 4 });
    const full = await cluster.archive(next);
    expect(full.code).toBe(1);
    expect(full.stderr).toContain('(queue_max)');
    expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
    expectNothingLeft(cluster, 's1');
    expect(cluster.state('s1')['abandoned']).toMatchObject({ firstLost: names[0], lastLost: names[2] });
  });

  test('segments are queued as they are where zstd fails', async () => {
    const { cluster, s1 } = await outage(world);
    const bin = join(cluster.host.directory, 'bin');
    writeScript(cluster.host, 'zstd', 'echo "no memory" >&2; exit 1');
    cluster.writeIni({ includepath: bin });
    const segments = new Map<string, Buffer>();
    const name = cluster.segment(1);
    segments.set(name, cluster.addSegment(name, { seed: 1 }));
    const result = await cluster.archive(name);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stderr).toMatch(/WARNING: queue_compress: \w+ is queued without compression: .*no memory/);
    expect(cluster.queue('s1')).toEqual([name]);
    await s1.sshd.start();
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expectArchived(s1, segments);
  });
});

test('without zstd segments are queued as they are, which both checks say', async () => {
  const { cluster, s1 } = await outage(world);
  const env = { ...cluster.host.env, PATH: programsWithoutZstd(cluster.host) };
  const said = 'queue_compress is on, but there is no program zstd: segments are queued as they are';
  const check = await cluster.run([], { env });
  expect(check).toMatchObject({ code: 0 });
  expect(check.stderr).toContain(said);
  expect((await cluster.run([])).stderr).not.toContain('queue_compress');
  expect((await cluster.run(['--check', 'paths'], { env })).stdout).toMatch(
    /FAILED +paths queue_compress +queue_compress is on/,
  );
  const name = cluster.segment(1);
  const bytes = cluster.addSegment(name);
  const result = await cluster.run(['-F', `pg_wal/${name}`], { env });
  expect(result).toMatchObject({ code: 0 });
  expect(result.stderr).toContain('is queued without compression: there is no program zstd on this host');
  expect(cluster.queue('s1')).toEqual([name]);
  await s1.sshd.start();
  expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
  expectArchived(s1, new Map([[name, bytes]]));
});

describe('a compressed segment that is damaged in the queue', () => {
  test('is taken from pg_wal again if that still has it', async () => {
    const { cluster, s1 } = await outage(world);
    const segments = new Map<string, Buffer>();
    for (const number of [1, 2, 3]) {
      const name = cluster.segment(number);
      segments.set(name, cluster.addSegment(name, { seed: number }));
      expect(await cluster.archive(name)).toMatchObject({ code: 0 });
    }
    const path = join(cluster.lArchiveDir, 's1', `${cluster.segment(2)}.zst`);
    damage(path);
    await s1.sshd.start();
    const flush = await cluster.run(['--flush']);
    expect(flush).toMatchObject({ code: 0 });
    expect(flush.stderr).toContain(`"${path}" was damaged: the segment was taken from pg_wal again`);
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
  });

  test('stops its lane, is named, and can be replaced', async () => {
    const { cluster, s1 } = await outage(world);
    const segments = await queueSegments(cluster, [1, 2, 3]);
    const second = cluster.segment(2);
    const queue = join(cluster.lArchiveDir, 's1');
    damage(join(queue, `${second}.zst`));
    await s1.sshd.start();
    const flush = await cluster.run(['--flush']);
    expect(flush.code).toBe(1);
    expect(flush.stdout).toMatch(
      /Standby s1: 1 files sent, 2 remain in its queue \(the queued file ".*\.zst" is damaged: .*; it cannot be taken from pg_wal again: /,
    );
    expect(archivedFiles(s1)).toEqual([cluster.segment(1)]);
    expect(cluster.state('s1')).toMatchObject({ health: 'damaged' });
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'critical');
    writeFileSync(join(queue, second), segments.get(second) ?? '', { mode: 0o600 });
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
  });
});

function sizeInQueue(cluster: FakeCluster, name: string): number {
  return statSync(join(cluster.lArchiveDir, 's1', name)).size;
}

// Without them nothing is full: scripts/test mounts them where it may.
describe.skipIf(!hasSmallDisks())('on a full disk', () => {
  test('a segment that does not fit is not archived, and what is queued is sent all the same', async () => {
    const disk = await smallDisk();
    world.onClose(() => {
      disk.release();
    });
    const { cluster, s1 } = await outage(world, { l_archivedir: join(disk.directory, 'l_archive') });
    const segments = await queueSegments(cluster, [1, 2, 3]);
    disk.fill();
    const name = cluster.segment(4);
    // Not to be compressed: one that is could find the space that a note has left.
    const bytes = cluster.addSegment(name);
    randomBytes(bytes.length - 8192).copy(bytes, 8192);
    cluster.addFile(name, bytes);
    const refused = await cluster.archive(name);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('The file system of l_archivedir is full');
    await s1.sshd.start();
    cluster.forgetTrouble('s1');
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
    expect(await cluster.archive(name)).toMatchObject({ code: 0 });
    expectArchived(s1, new Map([...segments, [name, bytes]]));
  });
});

test("PostgreSQL's WAL takes at most a quarter of the disk, and arrives as it was written", async () => {
  const primary = await world.startPrimary({
    slaves: ['s1'],
    ini: { queue_compress: 'on', ssh_timeout: 5 },
  });
  const s1 = await world.host('s1');
  prepareArchive(s1, await systemIdentifierOf(primary));
  expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
  await s1.sshd.kill();
  await primary.sql('CREATE TABLE t (n int PRIMARY KEY, x text)');
  const truth = new Map<string, Buffer>();
  for (let round = 0; round < 4; round++) {
    await primary.sql(
      `INSERT INTO t SELECT n, md5(n::text) FROM generate_series(${round * 50_000}, ${round * 50_000 + 49_999}) AS n`,
    );
    const name = await primary.switchWal();
    truth.set(name, readFileSync(join(primary.pgdata, 'pg_wal', name)));
    await primary.archived(name, 120_000);
  }
  const queue = join(primary.lArchiveDir, 's1');
  const queued = readdirSync(queue);
  expect(queued).toEqual(expect.arrayContaining(frames(truth.keys())));
  const bytes = queued.reduce((sum, name) => sum + statSync(join(queue, name)).size, 0);
  expect(bytes / (queued.length * 16 * 1024 * 1024)).toBeLessThan(0.25);
  await s1.sshd.start();
  await eventually(() => readdirSync(queue).length === 0, { limitMs: 120_000 });
  for (const [name, content] of truth) expect(archivedBytes(s1, name).equals(content), name).toBe(true);
});
