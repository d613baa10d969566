import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, type FakeCluster, readyCluster } from './archiver-cluster.ts';
import {
  addReadySegments,
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

/** Ends a segment every tenth of a second, and archives what is marked, until it is stopped; returns what it has made. */
function stream(cluster: FakeCluster): { stop: () => Promise<string[]> } {
  const state = { isOver: false };
  const waiting = new Set<string>();
  const made: string[] = [];
  const takeMarked = (): void => {
    for (const name of marked(cluster)) {
      if (!waiting.delete(name)) continue;
      makeDone(cluster, name);
      rmSync(join(cluster.pgdata, 'pg_wal', name));
    }
  };
  const writing = (async () => {
    for (let number = 1; !state.isOver; number++) {
      for (const name of addReadySegments(cluster, number, 1).keys()) {
        waiting.add(name);
        made.push(name);
      }
      await delay(100);
      takeMarked();
    }
    await eventually(() => {
      takeMarked();
      return waiting.size === 0;
    });
  })();
  world.onClose(async () => {
    state.isOver = true;
    await writing.catch(() => undefined);
  });
  return {
    stop: async () => {
      state.isOver = true;
      await writing;
      return made;
    },
  };
}

test('--flush and --abandon get the lock while a busy lane always has work', async () => {
  const cluster = await readyCluster(world, {
    slaves: ['s1', 's2'],
    ini: { queue_after: 10, ssh_timeout: 15 },
  });
  pretendRunning(world, cluster);
  const [s1, s2] = cluster.standbys;
  if (s1 === undefined || s2 === undefined) throw new Error('no standby');
  // Until one batch is safe, the next one is full again.
  cluster.writeIni({
    rsync_bin: writeScript(cluster.host, 'rsync', 'sleep 0.3\nexec /usr/bin/rsync "$@"'),
  });
  await startShipper(cluster);
  const writing = stream(cluster);
  await eventually(() => archivedFiles(s1).length > 5 && archivedFiles(s2).length > 5);
  const flushed = await cluster.run(['--flush']);
  expect(flushed.code, flushed.stdout + flushed.stderr).toBe(0);
  const abandoned = await cluster.run(['--abandon', 's1']);
  expect(abandoned.code, abandoned.stdout + abandoned.stderr).toBe(0);
  const before = archivedFiles(s1).length;
  const had = archivedFiles(s2).length;
  await eventually(() => archivedFiles(s2).length > had + 10);
  const made = await writing.stop();
  expect(archivedFiles(s2)).toEqual(made);
  expect(archivedFiles(s1)).toHaveLength(before);
  expect(cluster.queue('s2')).toEqual([]);
});

test('each standby is connected to once: the lanes use the connections that were begun while the code was loaded', async () => {
  const cluster = await readyCluster(world, {
    slaves: ['s1', 's2'],
    ini: { queue_after: 10, ssh_timeout: 15 },
  });
  pretendRunning(world, cluster);
  const masters = join(cluster.host.directory, 'masters');
  const counting = `case "$*" in *ControlMaster=yes*) echo connected >> '${masters}' ;; esac
exec ${cluster.host.ssh} "$@"`;
  cluster.writeIni({ ssh: writeScript(cluster.host, 'counting-ssh', counting) });
  const segments = addReadySegments(cluster, 1, 3);
  await startShipper(cluster);
  await untilMarked(cluster, segments.keys());
  for (const standby of cluster.standbys) expect(archivedFiles(standby)).toEqual([...segments.keys()]);
  expect(readFileSync(masters, 'utf8')).toBe('connected\n'.repeat(2));
});
