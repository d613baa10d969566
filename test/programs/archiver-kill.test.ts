import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { writeScript } from '../harness/host.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  readyCluster,
  segmentBytes,
} from './archiver-cluster.ts';

/** Every name in a standby's archive or a queue stands for whole bytes, whatever was killed. */
function expectNothingHalf(cluster: FakeCluster, standby: Host, segments: ReadonlyMap<string, Buffer>): void {
  for (const name of archivedFiles(standby)) {
    expect(archivedBytes(standby, name).equals(segments.get(name) ?? Buffer.of())).toBe(true);
  }
  for (const name of cluster.queue(standby.name)) {
    expect(segments.has(name)).toBe(true);
  }
}

describe('kill -9 of cmd_archiver', () => {
  const seed = testSeed();

  test(
    `nothing is lost if it is killed at ten random moments while fifty segments are archived (seed ${seed})`,
    { timeout: 480_000 },
    async ({ world }) => {
      const random = createRandom(seed);
      const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
      const numbers = Array.from({ length: 50 }, (_, index) => index + 1);
      const names = numbers.map((number) => cluster.segment(number));
      const segments = new Map(names.map((name, index) => [name, cluster.addSegment(name, { seed: index })]));
      const victims = new Set<number>();
      while (victims.size < 10) victims.add(Math.floor(random() * names.length));
      // One standby is down for a part of the run, so that queues are being filled and drained, too.
      const [s1, s2] = cluster.standbys;
      if (s1 === undefined || s2 === undefined) throw new Error('no standby');
      for (const [index, name] of names.entries()) {
        if (index === 15) await s1.sshd.kill();
        if (index === 30) await s1.sshd.start();
        if (victims.has(index)) {
          const running = cluster.start(['-F', `pg_wal/${name}`]);
          await delay(random() * 700);
          running.killFamily();
          await running.finished;
          for (const standby of cluster.standbys) expectNothingHalf(cluster, standby, segments);
        }
        // As PostgreSQL does: again, until it is archived.
        expect(await cluster.archive(name)).toMatchObject({ code: 0, stdout: '' });
      }
      expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
      for (const standby of cluster.standbys) {
        expect(archivedFiles(standby)).toEqual(names);
        expectNothingHalf(cluster, standby, segments);
        expect(cluster.queue(standby.name)).toEqual([]);
      }
      expect(readdirSync(join(cluster.lArchiveDir, '.archiver', 'tmp'))).toEqual([]);
    },
  );
});

describe('cmd_archiver while rsync sends', () => {
  /** An rsync that says that it was started, and then does nothing forever. */
  function hungRsync(cluster: FakeCluster): string {
    const mark = join(cluster.host.directory, 'rsync-began');
    cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', `touch ${mark}\nexec sleep 600`) });
    return mark;
  }

  test('exits after SIGTERM with a status that does not stop the archiver process, and leaves no unfinished file', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'], ini: { ssh_timeout: 60 } });
    const [s1] = cluster.standbys;
    const mark = hungRsync(cluster);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const running = cluster.start(['-F', `pg_wal/${name}`]);
    await eventually(() => existsSync(mark));
    running.signal('SIGTERM');
    const result = await running.finished;
    expect(result.signal).toBeNull();
    expect(result.code).toBeGreaterThanOrEqual(1);
    expect(result.code).toBeLessThanOrEqual(125);
    // The limit of rsync itself has not come by then.
    expect(result.ms).toBeLessThan(60_000);
    expect(s1 && archivedFiles(s1)).toEqual([]);
    expect(cluster.queue('s1')).toEqual([]);
    expect(cluster.host.notifications()).toEqual([]);
    cluster.writeIni({ rsync_bin: '/usr/bin/rsync' });
    expect((await cluster.archive(name)).code).toBe(0);
  });

  test('queues the segment after ssh_timeout if rsync hangs', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'], ini: { ssh_timeout: 2 } });
    hungRsync(cluster);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const result = await cluster.archive(name);
    expect(result.code).toBe(0);
    expect(result.timedOut).toBe(false);
    expect(result.stderr).toMatch(/is queued for standby s1: rsync: no end within 2 s/);
    expect(cluster.queue('s1')).toEqual([name]);
  });

  test('does not deliver a segment that is recycled during the transfer', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const [s1] = cluster.standbys;
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const path = join(cluster.pgdata, 'pg_wal', name);
    // Changed behind rsync's back, to as many bytes.
    const body = `/usr/bin/rsync "$@"\nstatus=$?\nprintf x | dd of='${path}' bs=1 seek=${segmentBytes - 1} conv=notrunc 2>/dev/null\nexit $status`;
    cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', body) });
    const result = await cluster.archive(name);
    expect(result.stderr).toMatch(/changed while it was (sent|copied)/);
    expect(result.code).toBe(1);
    expect(s1 && archivedFiles(s1)).toEqual([]);
    expect(cluster.queue('s1')).toEqual([]);
  });
});

test('if two calls use one lane at the same time, one sends and the other queues at once', async ({
  world,
}) => {
  const cluster = await readyCluster(world, { slaves: ['s1'], ini: { ssh_timeout: 20 } });
  const [s1] = cluster.standbys;
  const mark = join(cluster.host.directory, 'rsync-began');
  const go = join(cluster.host.directory, 'go');
  const body = `touch ${mark}\nwhile [ ! -e ${go} ]; do sleep 0.05; done\nexec /usr/bin/rsync "$@"`;
  cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', body) });
  const [a, b] = [cluster.segment(1), cluster.segment(2)];
  cluster.addSegment(a);
  cluster.addSegment(b);
  const first = cluster.start(['-F', `pg_wal/${a}`]);
  await eventually(() => existsSync(mark));
  expect((await cluster.archive(b)).code).toBe(0);
  expect(cluster.queue('s1')).toEqual([b]);
  writeFileSync(go, '');
  expect((await first.finished).code).toBe(0);
  expect(s1 && archivedFiles(s1)).toEqual([a]);
  expect((await cluster.run(['--flush'])).code).toBe(0);
  expect(s1 && archivedFiles(s1)).toEqual([a, b]);
});
