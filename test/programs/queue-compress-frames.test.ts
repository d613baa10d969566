import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { test } from '../harness/test.ts';
import type { FakeCluster } from './archiver-cluster.ts';
import { archivedFiles } from './archiver-cluster.ts';
import {
  expectArchived,
  expectNothingLeft,
  frames,
  outage,
  programsWithoutZstd,
  queueSegments,
} from './queue-compress-kit.ts';
import { pretendRunning, startShipper } from './shipper-kit.ts';

/** Notes the names of the files that rsync is given to send. */
function watchTransfers(cluster: FakeCluster): () => readonly string[] {
  const log = join(cluster.host.directory, 'transfers');
  writeFileSync(log, '');
  const body = `case " $* " in *files-from*) tee -a '${log}' | /usr/bin/rsync "$@" ;; *) exec /usr/bin/rsync "$@" ;; esac`;
  cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'watched-rsync', body) });
  return () => readFileSync(log, 'utf8').split('\0').filter(Boolean);
}

/** From now on the standby has a zstd that does only this; without it, none. */
async function changeZstd(
  { cluster, s1 }: { cluster: FakeCluster; s1: Host },
  script?: string,
): Promise<void> {
  const programs = programsWithoutZstd(cluster.host);
  if (script !== undefined) writeFileSync(join(programs, 'zstd'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  await s1.sshd.reconfigure([`SetEnv PATH=${programs}`]);
}

describe('queued frames', () => {
  test('travel as they are to a standby that can unpack them', async ({ world }) => {
    const { cluster, s1 } = await outage(world);
    const sent = watchTransfers(cluster);
    const segments = await queueSegments(cluster, [1, 2, 3]);
    await s1.sshd.start();
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expect(sent()).toEqual(frames(segments.keys()));
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
  });

  test('are unpacked here for one without zstd', async ({ world }) => {
    const site = await outage(world);
    const { cluster, s1 } = site;
    const sent = watchTransfers(cluster);
    const segments = await queueSegments(cluster, [1, 2, 3]);
    await changeZstd(site);
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expect(sent()).toEqual([...segments.keys()]);
    expectArchived(s1, segments);
    expectNothingLeft(cluster, 's1');
  });

  test.for(['--flush', '--ship'])(
    'are sent unpacked by %s if the standby fails to unpack them',
    async (action, { world }) => {
      const site = await outage(world);
      const { cluster, s1 } = site;
      const sent = watchTransfers(cluster);
      const segments = await queueSegments(cluster, [1, 2, 3]);
      const tried = join(world.directory, 'tried');
      await changeZstd(site, `echo "$@" >> '${tried}'; echo "no memory" >&2; exit 1`);
      pretendRunning(world, cluster);
      if (action === '--ship') await startShipper(cluster);
      else expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
      await eventually(() => archivedFiles(s1).length === segments.size, { limitMs: 120_000 });
      await eventually(() => cluster.queue('s1').length === 0, { limitMs: 120_000 });
      const names = sent();
      // A shipper sends them over its kept session.
      if (action === '--flush') expect(names.slice(0, 3)).toEqual(frames(segments.keys()));
      for (const name of frames(segments.keys())) expect(readFileSync(tried, 'utf8')).toContain(name);
      expect(names.slice(-3)).toEqual([...segments.keys()]);
      expectArchived(s1, segments);
    },
  );

  test('of which the standby has one already are the same there, and another content is refused', async ({
    world,
  }) => {
    const { cluster, s1 } = await outage(world);
    const segments = await queueSegments(cluster, [1, 2, 3]);
    const [first = '', second = ''] = segments.keys();
    writeFileSync(join(s1.archiveDir, first), segments.get(first) ?? '', { mode: 0o600 });
    writeFileSync(join(s1.archiveDir, second), 'another content', { mode: 0o600 });
    await s1.sshd.start();
    const refused = await cluster.run(['--flush']);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/1 files sent, 2 remain in its queue \(.*different file/);
    expect(cluster.queue('s1')).toEqual(frames([...segments.keys()].slice(1)));
    rmSync(join(s1.archiveDir, second));
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expectArchived(s1, segments);
  });
});
