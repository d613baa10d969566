import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import type { World } from '../harness/world.ts';
import { archivedBytes, archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import { makeDone, makeReady, pretendRunning, privatePath, untilMarked } from './shipper-kit.ts';

/** However slow this machine is, nothing goes by way of a queue. */
export const patient = { queue_after: 60 };

export interface Site {
  readonly world: World;
  readonly cluster: FakeCluster;
  readonly standbys: readonly Host[];
  /** The names of all files that rsync was told to send, for each of its calls. */
  readonly sent: () => readonly (readonly string[])[];
  /** The segments that zstd was called for on the primary. */
  readonly compressed: () => readonly string[];
  /** What zstd does on the primary, in sh, in place of compressing; `$real` is the program, `$target` where the frame belongs. */
  readonly zstdDoes: (script: string) => void;
  /** Adds segments that compress well, ready at once. */
  readonly add: (count: number) => Map<string, Buffer>;
}

export function lines(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

export function siteOf(world: World, cluster: FakeCluster): Site {
  pretendRunning(world, cluster);
  const { host } = cluster;
  const [calls, sends] = [join(host.directory, 'zstd-calls'), join(host.directory, 'sends')];
  const behaviour = join(host.directory, 'zstd-does');
  writeFileSync(behaviour, '');
  const programs = join(host.directory, 'programs');
  mkdirSync(programs);
  const zstd = `real=/usr/bin/zstd last=
for word; do [ "$last" = -o ] && target=$word; last=$word; done
echo "\${last##*/}" >>'${calls}'
. '${behaviour}'
exec $real "$@"`;
  writeFileSync(join(programs, 'zstd'), `#!/bin/sh\n${zstd}\n`, { mode: 0o700 });
  const rsync = writeScript(
    host,
    'noting-rsync',
    `[ "$1" = --version ] && exec /usr/bin/rsync "$@"
names=$(tr '\\0' ' ')
echo "$names" >>'${sends}'
for name in $names; do printf '%s\\0' "$name"; done | exec /usr/bin/rsync "$@"`,
  );
  // With a limit of the bandwidth, rsync carries the frames, and not a session of the connection.
  const limited = '-z --bwlimit=1000000';
  cluster.writeIni({ rsync_bin: rsync, includepath: programs, rsync_flags: limited, debug: 'on' });
  let number = 0;
  return {
    world,
    cluster,
    standbys: cluster.standbys,
    sent: () => lines(sends).map((line) => line.trim().split(' ')),
    compressed: () => lines(calls),
    zstdDoes: (script) => {
      writeFileSync(behaviour, script);
    },
    add: (count) => {
      const added = new Map<string, Buffer>();
      for (let index = 0; index < count; index++) {
        const name = cluster.segment((number += 1));
        const bytes = cluster.addSegment(name, { seed: number });
        // More is used than may travel without rsync.
        bytes.fill(0, bytes.length / 2);
        cluster.addFile(name, bytes);
        added.set(name, bytes);
      }
      for (const name of added.keys()) makeReady(cluster, name);
      return added;
    },
  };
}

const frame = (name: string): string => `${name}.zst`;

/** How often each of these was sent, as it is and as a frame. */
export function counts(
  { sent }: Site,
  names: Iterable<string>,
): { readonly plain: number; readonly framed: number } {
  const all = sent().flat();
  const wanted = [...names];
  const count = (text: string): number => all.filter((each) => each === text).length;
  return {
    plain: wanted.reduce((sum, name) => sum + count(name), 0),
    framed: wanted.reduce((sum, name) => sum + count(frame(name)), 0),
  };
}

export async function untilSafe({ cluster, standbys }: Site, segments: Map<string, Buffer>): Promise<void> {
  await untilMarked(cluster, segments.keys());
  for (const standby of standbys) {
    // After trouble with a connection they may come from the queue.
    await eventually(() => [...segments.keys()].every((name) => archivedFiles(standby).includes(name)), {
      limitMs: 120_000,
      what: `the segments at ${standby.name}`,
    });
    for (const [name, bytes] of segments) expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
  }
  for (const name of segments.keys()) makeDone(cluster, name);
}

/** Delivers segments until all of some have gone to each standby as frames: all are connected now. */
export async function untilFramed(site: Site, takers = site.standbys.length): Promise<void> {
  await eventually(
    async () => {
      const segments = site.add(2);
      await untilSafe(site, segments);
      return counts(site, segments.keys()).framed >= takers * segments.size;
    },
    { limitMs: 120_000, what: 'frames for all' },
  );
}

export function inFrames({ cluster }: Site): string[] {
  const directory = privatePath(cluster, 'frames');
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((path) => path.endsWith('.zst'));
}

export async function threeStandbys(
  world: World,
  ini: Record<string, string | number> = patient,
): Promise<Site> {
  return siteOf(world, await readyCluster(world, { slaves: ['s1', 's2', 's3'], ini }));
}
