import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { outerMajors, serverProgram } from '../harness/postgres-programs.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { buildWal } from '../harness/wal.ts';
import { someIdentifier } from '../unit/postgres/fixtures/build.ts';
import { archivedBytes, archivedFiles, fakeCluster, readyCluster, segmentBytes } from './archiver-cluster.ts';
import {
  clusterOf,
  declare,
  fork,
  goBack,
  inform,
  makeReadable,
  mark,
  only,
  prepareStandby,
  promote,
  sentinelOf,
} from './left-timelines-kit.ts';
import { addReadySegments, makeReady, pretendRunning, startShipper, untilMarked } from './shipper-kit.ts';
import { movedAside } from './standby-kit.ts';

describe('an old primary that comes back', () => {
  test('delivers nothing past the fork, and keeps it', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    const [before, atFork, behind] = [2, 3, 4].map((number) => cluster.segment(number)) as [
      string,
      string,
      string,
    ];
    for (const name of [before, atFork, behind]) cluster.addSegment(name);
    await inform(cluster, standby);
    for (const name of [before, atFork, behind]) expect((await cluster.archive(name)).code).toBe(0);
    expect(archivedFiles(standby)).toEqual([before]);
    expect(cluster.queue('s1')).toEqual([atFork, behind]);
    expect(cluster.state('s1')).toMatchObject({
      health: 'left',
      reason: `timeline 1 was left at ${fork} by beta: this server is an old primary`,
    });
    expect(cluster.host.notifications()).toMatchObject([{ severity: 'critical' }]);
    // No restart changes that, and no other way of sending.
    cluster.forgetTrouble('s1');
    const flushed = await cluster.run(['--flush']);
    expect(flushed.code).toBe(1);
    expect(flushed.stdout).toContain('this server is an old primary');
    expect(archivedFiles(standby)).toEqual([before]);
    expect(cluster.queue('s1')).toEqual([atFork, behind]);
  });

  test('that continued before its standby was informed: what came is moved aside, and nothing more comes', async ({
    world,
  }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    pretendRunning(world, cluster);
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 2, 3).keys()];
    await untilMarked(cluster, first);
    await eventually(() => archivedFiles(standby).length === 3, { what: 'three segments' });
    // In the middle of a lasting connection.
    await inform(cluster, standby);
    expect(archivedFiles(standby)).toEqual([cluster.segment(2)]);
    expect(movedAside(standby, 1)).toEqual([cluster.segment(3), cluster.segment(4)]);
    const more = [...addReadySegments(cluster, 5, 2).keys()];
    await untilMarked(cluster, more);
    await eventually(() => cluster.state('s1')['health'] === 'left', { what: 'the lane to say so' });
    expect(archivedFiles(standby)).toEqual([cluster.segment(2)]);
    expect(cluster.queue('s1')).toEqual(more);
  });
});

describe('a standby that was away during the failover', () => {
  test('learns it before any file is delivered, and what stands there is moved aside', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    const old = new Map(
      [2, 3, 4].map((number) => {
        const name = cluster.segment(number);
        const bytes = buildWal({
          name,
          systemIdentifier: cluster.systemIdentifier,
          version: '15',
          segmentBytes,
        });
        writeFileSync(join(standby.archiveDir, name), bytes);
        return [name, bytes] as const;
      }),
    );
    promote(cluster);
    declare(cluster);
    const next = cluster.segment(3, 2);
    const bytes = cluster.addSegment(next, { seed: 2 });
    expect(await cluster.archive(next)).toMatchObject({ code: 0 });
    expect(archivedFiles(standby)).toEqual([cluster.segment(2), next]);
    expect(archivedBytes(standby, next).equals(bytes)).toBe(true);
    expect(movedAside(standby, 1)).toEqual([cluster.segment(3), cluster.segment(4)]);
    expect(sentinelOf(standby)).toContain(`left: ${mark}\n`);
    expect(cluster.state('s1')).toMatchObject({ health: 'ok' });

    // The promotion was a mistake after all: the server is a copy of the old primary again, and the file remained.
    goBack(cluster);
    const check = await cluster.run([]);
    expect(check.stderr).toContain('is on timeline 1, and its history did not leave that timeline');
    const dry = await cluster.run(['--timeline-restored', '1', '--dry-run']);
    expect(dry.stdout).toContain('Would inform standby s1');
    expect(sentinelOf(standby)).toContain('left:');
    expect(await cluster.run(['--timeline-restored', '1'])).toMatchObject({ code: 0 });
    expect(sentinelOf(standby)).not.toContain('left:');
    expect(movedAside(standby, 1)).toEqual([]);
    for (const [name, content] of old) expect(archivedBytes(standby, name).equals(content)).toBe(true);
    // The next greeting does not mark it again.
    cluster.addSegment(cluster.segment(5));
    expect((await cluster.archive(cluster.segment(5))).code).toBe(0);
    expect(sentinelOf(standby)).not.toContain('left:');
    expect(archivedFiles(standby)).toContain(cluster.segment(5));
  });

  test('a mark whose files were not moved, as after a kill, is reported again', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    writeFileSync(join(standby.archiveDir, '.pitrtools'), `${sentinelOf(standby)}left: ${mark}\n`);
    for (const number of [2, 3]) {
      const name = cluster.segment(number);
      const { systemIdentifier } = cluster;
      const bytes = buildWal({ name, systemIdentifier, version: '15', segmentBytes });
      writeFileSync(join(standby.archiveDir, name), bytes);
    }
    const next = cluster.segment(3, 2);
    cluster.addSegment(next);
    expect((await cluster.archive(next)).code).toBe(0);
    expect(archivedFiles(standby)).toEqual([cluster.segment(2), next]);
    expect(movedAside(standby, 1)).toEqual([cluster.segment(3)]);
  });

  test('and cannot be informed gets WAL all the same, and the operator learns it', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'], systemIdentifier: someIdentifier });
    promote(cluster);
    declare(cluster);
    const next = cluster.segment(3, 2);
    cluster.addSegment(next);
    expect((await cluster.archive(next)).code).toBe(0);
    expect(archivedFiles(only(cluster))).toEqual([next]);
    expect(cluster.state('s1')).toMatchObject({
      health: 'unmarked',
      reason: expect.stringContaining('does not say how cmd_standby is called') as string,
    });
    expect(cluster.host.notifications()).toMatchObject([{ severity: 'warning' }]);
    // It ends by itself once the standby says how cmd_standby is called there.
    prepareStandby(only(cluster), cluster);
    cluster.addSegment(cluster.segment(4, 2));
    expect((await cluster.archive(cluster.segment(4, 2))).code).toBe(0);
    expect(cluster.state('s1')).toMatchObject({ health: 'ok' });
    expect(sentinelOf(only(cluster))).toContain(`left: ${mark}\n`);
  });

  test('and was greeted before this host declared the timeline left: it learns that over the same shipper', async ({
    world,
  }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    promote(cluster);
    pretendRunning(world, cluster);
    await startShipper(cluster);
    const next = cluster.segment(4, 2);
    cluster.addSegment(next);
    makeReady(cluster, next);
    await untilMarked(cluster, [next]);
    expect(archivedFiles(standby)).toEqual([next]);
    expect(sentinelOf(standby)).not.toContain('left:');
    declare(cluster);
    await eventually(() => sentinelOf(standby).includes(`left: ${mark}\n`), {
      what: 'the mark at the standby',
      limitMs: 120_000,
    });
  });

  test('is informed that a timeline was restored when it is back', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1', 's2']);
    const [first, second] = cluster.standbys as [Host, Host];
    makeReadable(cluster);
    declare(cluster);
    for (const standby of [first, second]) await inform(cluster, standby);
    cluster.host.routeTo(second, { address: second.address, port: 1 });
    const restored = await cluster.run(['--timeline-restored', '1']);
    expect(restored.code).toBe(0);
    expect(restored.stdout).toMatch(
      /Standby s1: takes WAL[^]*Standby s2: is informed when it is reached next/,
    );
    expect([sentinelOf(first), sentinelOf(second)].map((text) => text.includes('left:'))).toEqual([
      false,
      true,
    ]);
    cluster.host.routeTo(second);
    cluster.addSegment(cluster.segment(5));
    expect((await cluster.archive(cluster.segment(5))).code).toBe(0);
    expect(sentinelOf(second)).not.toContain('left:');
    expect(archivedFiles(second)).toEqual([cluster.segment(5)]);
  });
});

describe('a standby whose queue has filled the disk', () => {
  test.skipIf(!hasSmallDisks())(
    'is sent its queue, although how it stands to a left timeline cannot be noted',
    async ({ world }) => {
      const disk = await smallDisk();
      world.onClose(() => {
        disk.release();
      });
      const cluster = await readyCluster(world, {
        slaves: ['s1'],
        systemIdentifier: someIdentifier,
        ini: { l_archivedir: join(disk.directory, 'l_archive') },
      });
      const standby = only(cluster);
      prepareStandby(standby, cluster);
      promote(cluster);
      declare(cluster);
      await inform(cluster, standby);
      await standby.sshd.kill();
      const names = [4, 5, 6].map((number) => cluster.segment(number, 2)) as [string, string, string];
      for (const name of names) cluster.addSegment(name);
      for (const name of names.slice(0, 2)) expect((await cluster.archive(name)).code).toBe(0);
      expect(cluster.queue('s1')).toEqual(names.slice(0, 2));
      cluster.forgetTrouble('s1');
      disk.fill();
      await standby.sshd.start();
      expect((await cluster.archive(names[2])).code).toBe(0);
      expect(archivedFiles(standby)).toEqual(names);
      expect(cluster.state('s1')).toMatchObject({ health: 'ok' });
    },
  );
});

describe('a mark that remains from a promotion that was a mistake', () => {
  test('is ignored, with one warning, and does not make a file count as delivered', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1']);
    const standby = only(cluster);
    // Promoted in earnest, later than that mark says.
    promote(cluster, { at: '0/500060' });
    declare(cluster);
    const before = cluster.segment(4);
    cluster.addSegment(before);
    const first = await cluster.archive(before);
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(
      /left_timelines" says that timeline 1 was left at 0\/300060 by beta, but .* only later [^]*--timeline-restored 1/,
    );
    expect(archivedFiles(standby)).toEqual([before]);
    expect(sentinelOf(standby)).not.toContain('left:');
    expect(cluster.state('s1')).toMatchObject({ health: 'ok' });
    cluster.addSegment(cluster.segment(5, 2));
    const second = await cluster.archive(cluster.segment(5, 2));
    expect(second.code).toBe(0);
    expect(second.stderr).not.toContain('left_timelines');
  });
});

describe('the new primary', () => {
  test('need not deliver what PostgreSQL asks to archive of the timeline that it left', async ({ world }) => {
    const cluster = await clusterOf(world, ['s1']);
    promote(cluster);
    declare(cluster);
    const [atFork, next] = [cluster.segment(3), cluster.segment(3, 2)];
    for (const name of [atFork, next]) cluster.addSegment(name);
    const result = await cluster.archive(atFork);
    expect(result.code).toBe(0);
    expect(result.stderr).toContain(`${atFork} and later WAL of its timeline is not delivered`);
    expect((await cluster.archive(next)).code).toBe(0);
    expect(archivedFiles(only(cluster))).toEqual([next]);
    expect(cluster.queue('s1')).toEqual([]);
  });

  test.for(outerMajors())('says that a standby has diverged (PostgreSQL %i)', async (major, { world }) => {
    const data = join(world.directory, 'initdb');
    const made = await run(serverProgram(major, 'initdb'), ['-A', 'trust', '-N', '-D', data]);
    expect(made.code).toBe(0);
    const control = readFileSync(join(data, 'global', 'pg_control'));
    const systemIdentifier = control.readBigUInt64LE(0);
    const cluster = await fakeCluster(world, { slaves: ['s1'], systemIdentifier });
    const standby = only(cluster);
    prepareStandby(standby, cluster);
    expect((await cluster.run(['-I'])).code).toBe(0);
    // A standby of timeline 1, stopped at 0/1…: far behind this fork.
    const pgdata = join(standby.directory, 'pgdata');
    mkdirSync(join(pgdata, 'global'), { recursive: true, mode: 0o700 });
    writeFileSync(join(pgdata, 'global', 'pg_control'), control);
    writeFileSync(join(pgdata, 'PG_VERSION'), `${major}\n`);
    const early = '1 0/100060 beta';
    promote(cluster, { at: '0/100060', control });
    declare(cluster, early);
    const next = cluster.segment(1, 2);
    cluster.addSegment(next);
    expect((await cluster.archive(next)).code).toBe(0);
    expect(cluster.state('s1')).toMatchObject({
      health: 'diverged',
      reason:
        'timeline 1 was left at 0/100060 by beta, and this standby has replayed that timeline past there',
    });
    expect(cluster.host.notifications()).toMatchObject([{ severity: 'critical' }]);
    // A new base backup there needs the way to be open.
    expect(archivedFiles(standby)).toEqual([next]);
    expect(existsSync(join(standby.archiveDir, '.pitrtools'))).toBe(true);
  });
});
