import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Host } from '../harness/host.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedBytes, archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ major: 15 });
});
afterEach(async () => {
  await world.close();
});

async function twoStandbys(): Promise<{ cluster: FakeCluster; s1: Host; s2: Host }> {
  // No standby here hangs, and a login on a loaded machine may take seconds.
  const cluster = await readyCluster(world, { slaves: ['s1', 's2'], ini: { ssh_timeout: 30 } });
  const [s1, s2] = cluster.standbys;
  if (s1 === undefined || s2 === undefined) throw new Error('no standby');
  return { cluster, s1, s2 };
}

async function queueSegments(cluster: FakeCluster, numbers: readonly number[]): Promise<string[]> {
  const names = numbers.map((number) => cluster.segment(number));
  for (const [index, name] of names.entries()) {
    cluster.addSegment(name, { seed: index });
    expect((await cluster.archive(name)).code).toBe(0);
  }
  return names;
}

function markReady(cluster: FakeCluster, names: readonly string[]): void {
  for (const name of names) {
    writeFileSync(join(cluster.pgdata, 'pg_wal', 'archive_status', `${name}.ready`), '');
  }
}

function statusFiles(cluster: FakeCluster): string[] {
  return readdirSync(join(cluster.pgdata, 'pg_wal', 'archive_status')).sort();
}

describe('--flush', () => {
  test('sends all queued WAL at once, and reports what remains', async () => {
    const { cluster, s1, s2 } = await twoStandbys();
    await s1.sshd.kill();
    await s2.sshd.kill();
    const names = await queueSegments(cluster, [1, 2, 3]);
    await s1.sshd.start();
    const half = await cluster.run(['--flush']);
    expect(half.code).toBe(1);
    expect(half.stdout).toMatch(/Standby s1: 3 files sent, its queue is empty\n/);
    expect(half.stdout).toMatch(/Standby s2: 0 files sent, 3 remain in its queue \(.*refused/);
    expect(archivedFiles(s1)).toEqual(names);

    await s2.sshd.start();
    const plan = await cluster.run(['--flush', '--dry-run']);
    expect(plan.stdout).toMatch(/s2: would send 3 files from its queue and 0 from pgdata/);
    expect(cluster.queue('s2')).toEqual(names);
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expect(archivedFiles(s2)).toEqual(names);
    expect(cluster.queue('s2')).toEqual([]);
    const severities = cluster.host.notifications().map(({ severity }) => severity);
    expect(severities).toEqual(['warning', 'warning', 'ok', 'ok']);
  });

  test('sends a long queue in batches, oldest file first, and stops at a conflict', async () => {
    const { cluster, s1 } = await twoStandbys();
    const names = Array.from({ length: 150 }, (_, index) => cluster.segment(index + 1));
    for (const name of names) writeFileSync(join(cluster.lArchiveDir, 's1', name), `bytes of ${name}`);
    writeFileSync(join(s1.archiveDir, names[100] ?? ''), 'other bytes');
    const result = await cluster.run(['--flush']);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/Standby s1: 100 files sent, 50 remain in its queue \(.*different file/);
    expect(archivedFiles(s1)).toEqual(names.slice(0, 101));
    expect(cluster.queue('s1')).toEqual(names.slice(100));
    rmSync(join(s1.archiveDir, names[100] ?? ''));
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(archivedFiles(s1)).toEqual(names);
    for (const name of names) expect(archivedBytes(s1, name).toString()).toBe(`bytes of ${name}`);
  });

  test('sends the WAL that a stopped server has not archived, history files first, and marks it as archived', async () => {
    const { cluster, s1, s2 } = await twoStandbys();
    cluster.addFile('00000002.history', '1\t0/300000\tno recovery target specified\n');
    const names = ['00000002.history', cluster.segment(3, 2), cluster.segment(4, 2)];
    const bytes = names.slice(1).map((name) => cluster.addSegment(name));
    markReady(cluster, names);
    const result = await cluster.run(['--flush']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(/PostgreSQL is stopped: 3 of 3 files/);
    expect(statusFiles(cluster)).toEqual(names.map((name) => `${name}.done`).sort());
    for (const standby of [s1, s2]) {
      expect(archivedFiles(standby)).toEqual([...names].sort());
      expect(archivedBytes(standby, names[1] ?? '').equals(bytes[0] ?? Buffer.of())).toBe(true);
    }
  });

  test('leaves files to PostgreSQL if not every standby has them', async () => {
    const { cluster, s1, s2 } = await twoStandbys();
    const name = cluster.segment(1);
    cluster.addSegment(name);
    markReady(cluster, [name]);
    await s2.sshd.kill();
    const result = await cluster.run(['--flush']);
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/0 of 1 files/);
    expect(statusFiles(cluster)).toEqual([`${name}.ready`]);
    expect(archivedFiles(s1)).toEqual([name]);
    await s2.sshd.start();
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(statusFiles(cluster)).toEqual([`${name}.done`]);
  });

  test('names a damaged file among the ready ones, and sends the others', async () => {
    const { cluster, s1 } = await twoStandbys();
    cluster.addSegment(cluster.segment(1));
    cluster.addFile(cluster.segment(2), 'half');
    markReady(cluster, [cluster.segment(1), cluster.segment(2)]);
    const result = await cluster.run(['--flush']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/too short for a WAL page/);
    expect(statusFiles(cluster)).toEqual([`${cluster.segment(1)}.done`, `${cluster.segment(2)}.ready`]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(1)]);
  });

  test('ships although a stale pid file exists (bug of the original: a stale pid file stops shipping forever)', async () => {
    const { cluster, s1 } = await twoStandbys();
    const name = cluster.segment(1);
    cluster.addSegment(name);
    markReady(cluster, [name]);
    // No process has this number: it lies above what Linux gives away.
    writeFileSync(join(cluster.pgdata, 'postmaster.pid'), `4194999\n${cluster.pgdata}\n`);
    writeFileSync(join(cluster.lArchiveDir, '.archiver', 's1.lock'), '4194999\n');
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(archivedFiles(s1)).toEqual([name]);
  });

  test('does not touch pg_wal if it cannot be determined whether the server runs', async () => {
    const { cluster, s1 } = await twoStandbys();
    const name = cluster.segment(1);
    cluster.addSegment(name);
    markReady(cluster, [name]);
    const pidFile = join(cluster.pgdata, 'postmaster.pid');
    writeFileSync(pidFile, '1\n');
    chmodSync(pidFile, 0);
    const result = await cluster.run(['--flush']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/cannot be determined whether PostgreSQL runs/);
    expect(archivedFiles(s1)).toEqual([]);
    expect(statusFiles(cluster)).toEqual([`${name}.ready`]);
  });

  test('sends the queues while the state is offline, and accepts no new WAL', async () => {
    const { cluster, s1 } = await twoStandbys();
    await s1.sshd.kill();
    const names = await queueSegments(cluster, [1]);
    await s1.sshd.start();
    cluster.addSegment(cluster.segment(2));
    markReady(cluster, [cluster.segment(2)]);
    cluster.writeIni({ state: 'offline' });
    const result = await cluster.run(['--flush']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/state is offline: 1 files in pgdata were not sent/);
    expect(archivedFiles(s1)).toEqual(names);
  });
});

describe('--abandon and --resume', () => {
  test('--abandon frees the queue and records the lost range, and the other standbys continue', async () => {
    const { cluster, s1, s2 } = await twoStandbys();
    await s1.sshd.kill();
    await queueSegments(cluster, [1, 2]);
    const dry = await cluster.run(['--abandon', 's1', '--dry-run']);
    expect(dry.stdout).toMatch(/Would abandon standby s1 and remove 2 files/);
    expect(cluster.queue('s1')).toHaveLength(2);
    const result = await cluster.run(['--abandon', 's1']);
    expect(result.code).toBe(0);
    expect(cluster.queue('s1')).toEqual([]);
    await s1.sshd.start();
    await queueSegments(cluster, [3, 4]);
    expect(cluster.state('s1')).toMatchObject({
      health: 'abandoned',
      abandoned: { by: 'operator', firstLost: cluster.segment(1), lastLost: cluster.segment(4) },
    });
    expect(archivedFiles(s1)).toEqual([]);
    expect(archivedFiles(s2)).toHaveLength(4);
    expect(cluster.host.notifications().map(({ severity }) => severity)).toEqual(['warning', 'critical']);

    expect((await cluster.run(['--resume', 's1'])).stdout).toMatch(/Resumed standby s1 \(lost: /);
    await queueSegments(cluster, [5]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(5)]);
    expect(cluster.host.notifications().at(-1)?.severity).toBe('ok');
  });

  test('the request of a base backup resumes the lane once', async () => {
    const { cluster, s1 } = await twoStandbys();
    expect((await cluster.run(['--abandon', 's1'])).code).toBe(0);
    await queueSegments(cluster, [1]);
    writeFileSync(join(s1.archiveDir, '.resume'), 'abc123\n');
    await queueSegments(cluster, [2]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(2)]);
    expect((await cluster.run(['--abandon', 's1'])).code).toBe(0);
    await queueSegments(cluster, [3]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(2)]);
    writeFileSync(join(s1.archiveDir, '.resume'), 'def456\n');
    await queueSegments(cluster, [4]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(2), cluster.segment(4)]);
  });

  test('a request that --flush had seen before the standby was abandoned does not resume it', async () => {
    const { cluster, s1 } = await twoStandbys();
    await s1.sshd.kill();
    await queueSegments(cluster, [1]);
    await s1.sshd.start();
    writeFileSync(join(s1.archiveDir, '.resume'), 'stale123\n');
    expect((await cluster.run(['--flush'])).code).toBe(0);
    expect(cluster.state('s1')).toMatchObject({ health: 'ok', seenRequest: 'stale123' });
    expect((await cluster.run(['--abandon', 's1'])).code).toBe(0);
    await queueSegments(cluster, [2]);
    expect(archivedFiles(s1)).toEqual([cluster.segment(1)]);
    expect(cluster.state('s1')['health']).toBe('abandoned');
  });

  test('both report an unknown standby as an error', async () => {
    const { cluster } = await twoStandbys();
    const result = await cluster.run(['--abandon', 'nobody']);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/"nobody" is not a standby[^]*Known: s1, s2/);
  });
});

test('--cleanup removes unfinished files of ended processes, and no file that a queue needs', async () => {
  const { cluster, s1 } = await twoStandbys();
  await s1.sshd.kill();
  const names = await queueSegments(cluster, [1]);
  const leftovers = [
    join(cluster.lArchiveDir, '.archiver', 'tmp', `4194999.${cluster.segment(2)}`),
    join(cluster.lArchiveDir, '.archiver', '.s1.json.4194999.tmp'),
    join(cluster.lArchiveDir, 's1', `.4194999.${cluster.segment(2)}.tmp`),
  ];
  const ours = join(cluster.lArchiveDir, '.archiver', 'tmp', `${process.pid}.${cluster.segment(3)}`);
  for (const path of [...leftovers, ours]) writeFileSync(path, 'half');
  const dry = await cluster.run(['--cleanup', '--dry-run']);
  expect(dry.stdout.trim().split('\n').sort()).toEqual(
    leftovers.map((path) => `Would remove ${path}`).sort(),
  );
  expect(leftovers.every(existsSync)).toBe(true);
  const result = await cluster.run(['--cleanup']);
  expect(result.code).toBe(0);
  expect(leftovers.some(existsSync)).toBe(false);
  expect(existsSync(ours)).toBe(true);
  expect(cluster.queue('s1')).toEqual(names);
  expect((await cluster.run(['--cleanup'])).stdout).toBe('Nothing to clean up\n');
});

test('notify commands get the message as an argument (bug of the original: the alert text is run through a shell)', async () => {
  const { cluster, s1 } = await twoStandbys();
  const trap = join(cluster.host.directory, 'trapped');
  const archive = join(s1.directory, `a $(touch ${trap.replaceAll('/', '\\57')}) && touch trapped '"`);
  mkdirSync(archive);
  cluster.writeIni({}, { s1: { r_archivedir: archive } });
  cluster.addSegment(cluster.segment(1));
  expect((await cluster.archive(cluster.segment(1))).code).toBe(0);
  expect(cluster.host.notifications()[0]?.message).toContain('$(touch');
  expect(existsSync(trap)).toBe(false);
  expect(existsSync(join(cluster.pgdata, 'trapped'))).toBe(false);
  const facts = readFileSync(join(cluster.host.directory, 'notify.facts'), 'utf8');
  expect(facts).toContain('PITRTOOLS_SEVERITY=critical');
});
