import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Host } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import type { World } from '../harness/world.ts';
import { archivedBytes, archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { privatePath } from './shipper-kit.ts';

/** A cluster that compresses its queues, and whose only standby is away. */
export async function outage(world: World, ini: IniKeys = {}): Promise<{ cluster: FakeCluster; s1: Host }> {
  const cluster = await readyCluster(world, {
    slaves: ['s1'],
    ini: { queue_compress: 'on', ssh_timeout: 30, ...ini },
  });
  const [s1] = cluster.standbys;
  if (s1 === undefined) throw new Error('no standby');
  await s1.sshd.kill();
  return { cluster, s1 };
}

/** As PostgreSQL does it: once a segment is archived, its file is used for another one. */
export function recycle(cluster: FakeCluster, name: string): void {
  rmSync(join(cluster.pgdata, 'pg_wal', name));
}

/** Archives segments of which, afterwards, only the queue has a copy. */
export async function queueSegments(
  cluster: FakeCluster,
  numbers: readonly number[],
): Promise<Map<string, Buffer>> {
  const segments = new Map<string, Buffer>();
  for (const number of numbers) {
    const name = cluster.segment(number);
    segments.set(name, cluster.addSegment(name, { seed: number }));
    expect(await cluster.archive(name)).toMatchObject({ code: 0 });
    recycle(cluster, name);
  }
  return segments;
}

export function expectArchived(standby: Host, segments: ReadonlyMap<string, Buffer>): void {
  expect(archivedFiles(standby)).toEqual([...segments.keys()].sort());
  for (const [name, bytes] of segments) expect(archivedBytes(standby, name).equals(bytes), name).toBe(true);
}

export function expectNothingLeft(cluster: FakeCluster, standby: string): void {
  expect(cluster.queue(standby)).toEqual([]);
  for (const place of ['tmp', 'unpacked']) {
    const directory = privatePath(cluster, place);
    expect(existsSync(directory) ? readdirSync(directory) : []).toEqual([]);
  }
}

export const frames = (names: Iterable<string>): string[] => [...names].map((name) => `${name}.zst`);

/** A directory with the programs of this machine, without zstd. */
export function programsWithoutZstd(host: Host): string {
  const directory = join(host.directory, 'without-zstd');
  mkdirSync(directory);
  for (const folder of (process.env['PATH'] ?? '').split(':').filter((one) => existsSync(one))) {
    for (const name of readdirSync(folder)) {
      const link = join(directory, name);
      if (name !== 'zstd' && !existsSync(link)) symlinkSync(join(folder, name), link);
    }
  }
  return directory;
}
