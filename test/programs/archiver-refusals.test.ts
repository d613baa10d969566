import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import type { Host } from '../harness/host.ts';
import type { Finished } from '../harness/processes.ts';
import { buildWal } from '../harness/wal.ts';
import { createWorld, type World } from '../harness/world.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  fakeCluster,
  prepareArchive,
  readyCluster,
  segmentBytes,
  sentinelText,
  writeControlFile,
} from './archiver-cluster.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

async function oneStandby(): Promise<{ cluster: FakeCluster; standby: Host }> {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const [standby] = cluster.standbys;
  if (standby === undefined) throw new Error('no standby');
  return { cluster, standby };
}

/** Failed with a status that PostgreSQL bears, said why, and archived nothing. */
function expectRefusal(result: Finished, why: RegExp): void {
  expect(result.code).toBeGreaterThanOrEqual(1);
  expect(result.code).toBeLessThanOrEqual(125);
  expect(result.stdout).toBe('');
  expect(result.stderr).toMatch(why);
}

function expectUntouched(cluster: FakeCluster, standby: Host): void {
  expect(cluster.queue('s1')).toEqual([]);
  expect(archivedFiles(standby)).toEqual([]);
  expect(readdirSync(join(cluster.lArchiveDir, '.archiver', 'tmp'))).toEqual([]);
}

describe('archive_command refuses without any change', () => {
  test('every segment while offline, with an exit status other than 0 (bug of the original: offline exits 0)', async () => {
    const { cluster, standby } = await oneStandby();
    const name = cluster.segment(1);
    cluster.addSegment(name);
    cluster.writeIni({ state: 'offline' });
    expectRefusal(await cluster.archive(name), /offline/);
    expectUntouched(cluster, standby);
    cluster.writeIni({ state: 'online' });
    expect((await cluster.archive(name)).code).toBe(0);
  });

  test('a segment of another cluster', async () => {
    const { cluster, standby } = await oneStandby();
    cluster.addSegment(cluster.segment(1), { systemIdentifier: 4711n });
    expectRefusal(await cluster.archive(cluster.segment(1)), /belongs to cluster 4711/);
    expectUntouched(cluster, standby);
  });

  test('a truncated segment', async () => {
    const { cluster, standby } = await oneStandby();
    const name = cluster.segment(1);
    cluster.addFile(name, cluster.addSegment(name).subarray(0, segmentBytes / 2));
    expectRefusal(await cluster.archive(name), /524288 bytes instead of 1048576/);
    cluster.addFile(name, '');
    expectRefusal(await cluster.archive(name), /too short/);
    expectUntouched(cluster, standby);
  });

  test('a segment whose header shows another position in the WAL', async () => {
    const { cluster, standby } = await oneStandby();
    cluster.addSegment(cluster.segment(5), { headerSegment: 2n });
    expectRefusal(await cluster.archive(cluster.segment(5)), /its name says/);
    expectUntouched(cluster, standby);
  });

  test('a file whose name is not a WAL name', async () => {
    const { cluster, standby } = await oneStandby();
    for (const name of ['pg_control', '0000000100000000000000zz', '00000001.history.bak', 'x y']) {
      cluster.addFile(name, 'x');
      expectRefusal(await cluster.archive(name), /not a WAL file/);
    }
    expectUntouched(cluster, standby);
  });

  test('a file that does not exist', async () => {
    const { cluster, standby } = await oneStandby();
    expectRefusal(await cluster.archive(cluster.segment(1)), /there is no file/);
    expectUntouched(cluster, standby);
  });

  test('a second cluster on the host that uses a copied INI file', async () => {
    const { cluster, standby } = await oneStandby();
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const other = join(cluster.host.directory, 'other');
    mkdirSync(join(other, 'pg_wal'), { recursive: true });
    writeControlFile(other, 99n);
    const theirs = { name, systemIdentifier: 99n, version: '15', segmentBytes };
    writeFileSync(join(other, 'pg_wal', name), buildWal(theirs));
    expectRefusal(await cluster.run(['-F', `pg_wal/${name}`], { cwd: other }), /not the file of that name/);
    // The very same content in the other place is no proof either: a history file names no cluster.
    cluster.addFile('00000002.history', '1\t0/300000\tx\n');
    writeFileSync(join(other, 'pg_wal', '00000002.history'), '1\t0/300000\tx\n');
    expectRefusal(
      await cluster.run(['-F', 'pg_wal/00000002.history'], { cwd: other }),
      /not the file of that/,
    );
    expectUntouched(cluster, standby);
  });

  test('a data directory that was made by a new initdb', async () => {
    const { cluster, standby } = await oneStandby();
    const name = cluster.segment(1);
    writeControlFile(cluster.pgdata, 99n);
    cluster.addSegment(name, { systemIdentifier: 99n });
    expectRefusal(await cluster.archive(name), /belongs to cluster 7000000000000000001/);
    expectRefusal(await cluster.run(['-F', join(cluster.pgdata, 'pg_wal', name)]), /belongs to cluster/);
    expectUntouched(cluster, standby);
  });

  test('an l_archivedir that was never initialized, or is not mounted', async () => {
    const cluster = await fakeCluster(world, { slaves: ['s1'] });
    const [standby] = cluster.standbys;
    if (standby) prepareArchive(standby, cluster.systemIdentifier);
    cluster.addSegment(cluster.segment(1));
    expectRefusal(await cluster.archive(cluster.segment(1)), /not initialized[^]*-I/);
    expect(existsSync(cluster.lArchiveDir)).toBe(false);
    expect(standby && archivedFiles(standby)).toEqual([]);
  });
});

describe('a different segment of the same name (bug of the original: it is silently dropped)', () => {
  const old = new Date('2020-01-01T00:00:00Z');

  /** rsync alone skips other bytes of equal size and time, and overwrites those of another time. */
  test.each([
    ['with the same time', old, old],
    ['with another time', old, new Date('2021-01-01T00:00:00Z')],
  ])('is reported as a conflict if it is at the standby, %s', async (_, ours, theirs) => {
    const { cluster, standby } = await oneStandby();
    const name = cluster.segment(1);
    const bytes = cluster.addSegment(name, { seed: 1 });
    utimesSync(join(cluster.pgdata, 'pg_wal', name), ours, ours);
    const other = buildWal({
      name,
      systemIdentifier: cluster.systemIdentifier,
      version: '15',
      segmentBytes,
      seed: 2,
    });
    writeFileSync(join(standby.archiveDir, name), other);
    utimesSync(join(standby.archiveDir, name), theirs, theirs);

    const result = await cluster.archive(name);
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /different file named .*there: sha256:[0-9a-f]{64}; here: sha256:[0-9a-f]{64}/,
    );
    expect(result.stderr).toContain('cmd_archiver --abandon s1');
    expect(archivedBytes(standby, name).equals(other)).toBe(true);
    expect(cluster.queue('s1')).toEqual([name]);
    expect(cluster.state('s1')).toMatchObject({ health: 'conflict' });
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['critical']);

    // The lane has stopped; what follows is kept, and nothing overtakes.
    const next = cluster.segment(2);
    cluster.addSegment(next);
    cluster.forgetTrouble('s1');
    expect((await cluster.archive(next)).code).toBe(0);
    expect(archivedFiles(standby)).toEqual([name]);
    expect(cluster.queue('s1')).toEqual([name, next]);
    expect(bytes.equals(other)).toBe(false);
  });

  test.each([
    ['with the same time', old, old],
    ['with another time', old, new Date('2021-01-01T00:00:00Z')],
  ])('is reported as a conflict if it is in the queue, %s', async (_, ours, theirs) => {
    const { cluster, standby } = await oneStandby();
    await standby.sshd.kill();
    const name = cluster.segment(1);
    const first = cluster.addSegment(name, { seed: 1 });
    expect((await cluster.archive(name)).code).toBe(0);
    utimesSync(join(cluster.lArchiveDir, 's1', name), theirs, theirs);
    cluster.addSegment(name, { seed: 2 });
    utimesSync(join(cluster.pgdata, 'pg_wal', name), ours, ours);
    const result = await cluster.archive(name);
    expectRefusal(
      result,
      /holds a different file named .*[^]*queued: sha256 [0-9a-f]{64}; to archive: sha256 [0-9a-f]{64}/,
    );
    await standby.sshd.start();
    cluster.forgetTrouble('s1');
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(archivedBytes(standby, name).equals(first)).toBe(true);
  });
});

describe('archive_command queues the segment and notifies the operator', () => {
  async function expectQueued(cluster: FakeCluster, severity: string, why: RegExp): Promise<void> {
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const result = await cluster.archive(name);
    expect(result.stderr).toMatch(why);
    expect(result.code).toBe(0);
    expect(cluster.queue('s1')).toEqual([name]);
    expect(cluster.host.notifications().map((each) => each.severity)).toEqual([severity]);
  }

  test('if the archive directory has lost its sentinel', async () => {
    const { cluster, standby } = await oneStandby();
    rmSync(join(standby.archiveDir, '.pitrtools'));
    await expectQueued(cluster, 'critical', /no sentinel/);
    expect(readdirSync(standby.archiveDir)).toEqual([]);
  });

  test('if the archive directory belongs to another cluster', async () => {
    const { cluster, standby } = await oneStandby();
    writeFileSync(join(standby.archiveDir, '.pitrtools'), sentinelText(99n, 's1'));
    await expectQueued(cluster, 'critical', /another cluster \(99\)/);
    expect(readdirSync(standby.archiveDir)).toEqual(['.pitrtools']);
  });

  test('if the standby was promoted', async () => {
    const { cluster, standby } = await oneStandby();
    writeFileSync(
      join(standby.archiveDir, '.pitrtools'),
      `${sentinelText(cluster.systemIdentifier, 's1')}promoted_at_timeline: 2\n`,
    );
    await expectQueued(cluster, 'critical', /was promoted \(timeline 2\)/);
    expect(archivedFiles(standby)).toEqual([]);
  });

  test('if the archive directory does not exist', async () => {
    const { cluster, standby } = await oneStandby();
    renameSync(standby.archiveDir, `${standby.archiveDir}.away`);
    await expectQueued(cluster, 'warning', /there is no directory/);
    expect(existsSync(standby.archiveDir)).toBe(false);
  });

  test('if rsync is missing on the primary', async () => {
    const { cluster } = await oneStandby();
    cluster.writeIni({ rsync_bin: '/nonexistent/rsync' });
    await expectQueued(cluster, 'critical', /cannot find the program "\/nonexistent\/rsync"/);
  });

  test('if rsync is missing at the standby', async () => {
    const { cluster } = await oneStandby();
    cluster.writeIni({ rsync_flags: '--rsync-path=/nonexistent/rsync' });
    await expectQueued(cluster, 'warning', /nonexistent\/rsync/);
  });

  test('if the disk of the standby is full', async ({ skip }) => {
    skip(!hasSmallDisks());
    const { cluster } = await oneStandby();
    const disk = await smallDisk();
    world.onClose(() => {
      disk.release();
    });
    writeFileSync(join(disk.directory, '.pitrtools'), sentinelText(cluster.systemIdentifier, 's1'));
    cluster.writeIni({}, { s1: { r_archivedir: disk.directory } });
    disk.fill(segmentBytes / 4);
    await expectQueued(cluster, 'warning', /no space left/);
    expect(readdirSync(disk.directory).filter((name) => /^0/.test(name))).toEqual([]);

    disk.relieve();
    const next = cluster.segment(2);
    cluster.addSegment(next);
    cluster.forgetTrouble('s1');
    expect((await cluster.archive(next)).code).toBe(0);
    expect(readdirSync(disk.directory).filter((name) => /^0/.test(name))).toEqual([cluster.segment(1), next]);
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['warning', 'ok']);
  });
});

describe('archive_command does not exit 0 without a safe copy (bug of the original: exit 0 although nothing was archived)', () => {
  test('it fails if the standby is down and its queue cannot be written', async () => {
    const { cluster, standby } = await oneStandby();
    await standby.sshd.kill();
    const queue = join(cluster.lArchiveDir, 's1');
    chmodSync(queue, 0o500);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expectRefusal(await cluster.archive(name), /cannot queue .*[^]*EACCES/);
    expectUntouched(cluster, standby);
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['critical']);
    chmodSync(queue, 0o700);
    expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([name]);
  });

  test('it succeeds if the standby is up, although its queue cannot be written', async () => {
    const { cluster, standby } = await oneStandby();
    chmodSync(join(cluster.lArchiveDir, 's1'), 0o500);
    cluster.addSegment(cluster.segment(1));
    expect((await cluster.archive(cluster.segment(1))).code).toBe(0);
    expect(archivedFiles(standby)).toEqual([cluster.segment(1)]);
  });

  test('it fails while the standby is down and l_archivedir is full, and succeeds when the standby is back', async ({
    skip,
  }) => {
    skip(!hasSmallDisks());
    const disk = await smallDisk();
    world.onClose(() => {
      disk.release();
    });
    const cluster = await readyCluster(world, { slaves: ['s1'], ini: { l_archivedir: disk.directory } });
    const [standby] = cluster.standbys;
    await standby?.sshd.kill();
    cluster.addSegment(cluster.segment(1));
    expect((await cluster.archive(cluster.segment(1))).code).toBe(0);
    disk.fill(segmentBytes / 4);
    cluster.addSegment(cluster.segment(2));
    const refused = await cluster.archive(cluster.segment(2));
    expectRefusal(refused, /cannot queue .*[^]*ENOSPC/);
    expect(readdirSync(join(disk.directory, 's1'))).toEqual([cluster.segment(1)]);
    expect(readdirSync(join(disk.directory, '.archiver', 'tmp'))).toEqual([]);
    // The disk stays full: what the standby takes is what makes room.
    await standby?.sshd.start();
    expect((await cluster.archive(cluster.segment(2))).code).toBe(0);
    expect(standby && archivedFiles(standby)).toEqual([cluster.segment(1), cluster.segment(2)]);
    expect(readdirSync(join(disk.directory, 's1'))).toEqual([]);
  });

  test('it fails if every standby is abandoned', async () => {
    const { cluster, standby } = await oneStandby();
    expect((await cluster.run(['--abandon', 's1'])).code).toBe(0);
    cluster.addSegment(cluster.segment(1));
    expectRefusal(await cluster.archive(cluster.segment(1)), /every standby is abandoned/);
    expectUntouched(cluster, standby);
  });
});
