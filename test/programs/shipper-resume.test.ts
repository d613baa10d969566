import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import {
  addReadySegments,
  makeDone,
  pretendRunning,
  privatePath,
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

/** What is lost is counted when the lane has been spoken to: then the queue is freed as well. */
async function untilLost(cluster: FakeCluster, last: string): Promise<void> {
  await eventually(() => {
    const abandoned = cluster.state('s1')['abandoned'] as Record<string, string> | undefined;
    return abandoned?.['lastLost'] === last && cluster.queue('s1').length === 0;
  });
}

/** As `cmd_standby -B` does it. */
async function askToResume(cluster: FakeCluster): Promise<void> {
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  writeFileSync(join(s1.archiveDir, '.resume'), 'abc123\n');
  await eventually(() => cluster.state('s1')['abandoned'] === undefined, { limitMs: 120_000 });
}

describe('an abandoned standby is resumed at its request, without any new WAL', () => {
  test('if it was down and was abandoned by policy', async () => {
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { queue_max: '2', queue_full: 'abandon' },
    });
    pretendRunning(world, cluster);
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    await s1.sshd.kill();
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 1, 4).keys()];
    await untilMarked(cluster, first);
    await untilLost(cluster, first[3] ?? '');
    for (const name of first) makeDone(cluster, name);
    await s1.sshd.start();
    await askToResume(cluster);
    const next = [...addReadySegments(cluster, 5, 3).keys()];
    await untilMarked(cluster, next);
    await eventually(() => archivedFiles(s1).length === 3);
    expect(archivedFiles(s1)).toEqual(next);
    await eventually(() => cluster.host.notifications().at(-1)?.severity === 'ok');
  });

  test('if its lane was stopped by a conflict and is tried only once per minute', async () => {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    pretendRunning(world, cluster);
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    writeFileSync(join(s1.archiveDir, cluster.segment(1)), 'another file');
    await startShipper(cluster);
    const first = [...addReadySegments(cluster, 1, 1).keys()];
    await untilMarked(cluster, first);
    await eventually(() => cluster.state('s1')['health'] === 'conflict');
    for (const name of first) makeDone(cluster, name);
    expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
    await askToResume(cluster);
    const next = [...addReadySegments(cluster, 2, 2).keys()];
    await untilMarked(cluster, next);
    await eventually(() => archivedFiles(s1).length === 3);
    expect(archivedFiles(s1)).toEqual([...first, ...next]);
  });
});

describe('an old request of a killed base backup, from before the abandonment', () => {
  async function twoStandbys() {
    const cluster = await readyCluster(world, { slaves: ['s1', 's2'] });
    pretendRunning(world, cluster);
    const [s1] = cluster.standbys;
    if (s1 === undefined) throw new Error('no standby');
    const leaveRequest = (): void => {
      writeFileSync(join(s1.archiveDir, '.resume'), 'stale123\n');
    };
    const ship = async (number: number): Promise<string> => {
      const names = [...addReadySegments(cluster, number, 1).keys()];
      await untilMarked(cluster, names);
      for (const name of names) makeDone(cluster, name);
      return names[0] ?? '';
    };
    const isNoted = (): boolean => cluster.state('s1')['seenRequest'] === 'stale123';
    const abandonForGood = async (from: number): Promise<void> => {
      expect(await cluster.run(['--abandon', 's1'])).toMatchObject({ code: 0 });
      await untilLost(cluster, await ship(from));
      expect(cluster.state('s1')['health']).toBe('abandoned');
      // A new one counts.
      await askToResume(cluster);
      const last = await ship(from + 1);
      await eventually(() => archivedFiles(s1).includes(last));
    };
    return { cluster, s1, leaveRequest, ship, isNoted, abandonForGood };
  }

  test('is recorded when the connection is made, and does not end the abandonment', async () => {
    const { cluster, leaveRequest, isNoted, abandonForGood } = await twoStandbys();
    leaveRequest();
    await startShipper(cluster);
    await eventually(isNoted, { what: 'the noted request' });
    await abandonForGood(1);
  });

  test('is recorded once with the next delivery on an open connection, and does not end the abandonment', async () => {
    const { cluster, s1, leaveRequest, ship, isNoted, abandonForGood } = await twoStandbys();
    await startShipper(cluster);
    await ship(1);
    leaveRequest();
    await ship(2);
    await eventually(isNoted, { what: 'the noted request' });
    const inode = (): number => statSync(privatePath(cluster, 's1.json')).ino;
    const noted = inode();
    await ship(3);
    await eventually(() => archivedFiles(s1).length === 3);
    expect(inode()).toBe(noted);
    await abandonForGood(4);
  });
});
