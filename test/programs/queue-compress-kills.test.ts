import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { type ProcessEntry, processesOf } from '../harness/process-table.ts';
import { sendSignal } from '../harness/processes.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import { buildWal } from '../harness/wal.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  readyCluster,
  segmentBytes,
} from './archiver-cluster.ts';
import { makeDone, makeReady, pretendRunning, privatePath, startShipper } from './shipper-kit.ts';

const seed = testSeed();
const isLong = process.env['PITRTOOLS_TEST_LONG'] === '1';
const rounds = Number(process.env['PITRTOOLS_TEST_ROUNDS'] ?? (isLong ? 50 : 10));

const patterns = {
  shipper: /cmd-archiver\.js .*--ship/,
  archive_command: /cmd_archiver.* -F |cmd-archiver\.js .*-F /,
  zstd: /zstd /,
  ssh: /ControlMaster=yes/,
  rsync: /rsync .*--files-from/,
} as const;
type Victim = keyof typeof patterns | 'sshd';
const victims: readonly Victim[] = ['shipper', 'archive_command', 'zstd', 'zstd', 'ssh', 'rsync', 'sshd'];

/** A strike that finds nobody is none: one that has just gone, or was just killed, comes again. */
function presentOf(host: Host, pattern: RegExp): Promise<ProcessEntry[]> {
  const look = (): ProcessEntry[] | undefined => {
    const found = processesOf(host.directory).filter(({ commandLine }) => pattern.test(commandLine));
    return found.length > 0 ? found : undefined;
  };
  return eventually(look, { limitMs: 120_000, everyMs: 1, what: `one to strike: ${pattern.source}` });
}

function segmentOf(cluster: FakeCluster, name: string, number: number): Buffer {
  const { systemIdentifier } = cluster;
  return buildWal({ name, systemIdentifier, version: '15', segmentBytes, seed: number });
}

/** Archives one segment after the other, as PostgreSQL does: again until it is archived, and then its file is gone. */
async function archiveUntil(cluster: FakeCluster, stop: AbortSignal): Promise<Map<string, number>> {
  const archived = new Map<string, number>();
  for (let number = 1; !stop.aborted; number += 1) {
    const name = cluster.segment(number);
    cluster.addSegment(name, { seed: number });
    makeReady(cluster, name);
    while ((await cluster.archive(name)).code !== 0) await delay(20);
    archived.set(name, number);
    makeDone(cluster, name);
    rmSync(join(cluster.pgdata, 'pg_wal', name));
    await delay(30);
  }
  return archived;
}

test(
  `with queue_compress no WAL is lost by ${String(rounds)} kills at random moments (seed ${String(seed)})`,
  { timeout: isLong ? 3_600_000 : 480_000 },
  async ({ world }) => {
    const random = createRandom(seed);
    const cluster = await readyCluster(world, {
      slaves: ['s1', 's2'],
      ini: { queue_compress: 'on', queue_after: 0, ssh_timeout: 2 },
    });
    pretendRunning(world, cluster);
    await startShipper(cluster);
    const end = new AbortController();
    const archiving = archiveUntil(cluster, end.signal);
    const strikes: Record<string, number> = {};
    let down: Host | undefined;
    for (let round = 0; round < rounds; round += 1) {
      // One standby after the other is away, so that queues are filled and drained all the time.
      await down?.sshd.start();
      down = round % 3 === 2 ? undefined : cluster.standbys[round % cluster.standbys.length];
      await down?.sshd.kill();
      await delay(random() * 800);
      const victim = victims[Math.floor(random() * victims.length)] ?? 'shipper';
      if (victim === 'sshd') {
        const up = cluster.standbys.find((standby) => standby !== down);
        await up?.sshd.kill();
        await delay(random() * 500);
        await up?.sshd.start();
      } else {
        for (const { pid } of await presentOf(cluster.host, patterns[victim])) sendSignal(pid, 'SIGKILL');
      }
      strikes[victim] = (strikes[victim] ?? 0) + 1;
    }
    await down?.sshd.start();
    end.abort();
    const archived = await archiving;
    // The last strike may have been at the shipper, and nothing is archived any more that would start one. A second one ends.
    await startShipper(cluster);
    for (const standby of cluster.standbys) {
      await eventually(() => cluster.queue(standby.name).length === 0, {
        limitMs: 120_000,
        what: `the queue of ${standby.name} sent`,
      });
      expect(archivedFiles(standby)).toEqual([...archived.keys()]);
      for (const [name, number] of archived)
        expect(archivedBytes(standby, name).equals(segmentOf(cluster, name, number)), name).toBe(true);
    }
    expect(await cluster.run(['--cleanup'])).toMatchObject({ code: 0 });
    for (const place of ['tmp', 'unpacked']) {
      const directory = privatePath(cluster, place);
      expect(existsSync(directory) ? readdirSync(directory) : [], place).toEqual([]);
    }
    console.log(`${String(archived.size)} files, strikes: ${JSON.stringify(strikes)}`);
  },
);
