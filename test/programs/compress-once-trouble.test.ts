import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { test } from '../harness/test.ts';
import { archivedBytes, archivedFiles, readyCluster } from './archiver-cluster.ts';
import {
  counts,
  inFrames,
  patient,
  siteOf,
  threeStandbys,
  untilFramed,
  untilSafe,
} from './compress-once-kit.ts';
import { endShipper, marked, privatePath, startShipper, usePrograms } from './shipper-kit.ts';

describe('a segment that several standbys need', () => {
  test.for<[string, string]>([
    ['fails', 'echo half >"$target"; exit 1'],
    ['writes something else', 'echo garbage >"$target"; exit 0'],
    ['makes a frame that is cut', '$real "$@"; truncate -s -10 "$target"; exit 0'],
    [
      'makes a frame of another segment',
      'head -c 1048576 /dev/zero | $real -q --stream-size=1048576 >"$target"; exit 0',
    ],
    ['does not end', 'exec sleep 600'],
  ])('goes as it is where zstd on the primary %s', async ([how, script], { world }) => {
    const hangs = how === 'does not end';
    const site = await threeStandbys(world, hangs ? { queue_after: 1 } : patient);
    const shipper = await startShipper(site.cluster);
    if (!hangs) await untilFramed(site);
    site.zstdDoes(script);
    const segments = site.add(3);
    await untilSafe(site, segments);
    for (const { name } of site.standbys) expect(site.cluster.state(name)['health']).not.toBe('conflict');
    await endShipper(shipper);
    expect(existsSync(privatePath(site.cluster, 'frames'))).toBe(false);
  });

  test('that is recycled while it is compressed goes nowhere as what it was', async ({ world }) => {
    const site = await threeStandbys(world);
    const { cluster } = site;
    const shipper = await startShipper(cluster);
    await untilFramed(site);
    const [wish, hold] = ['wish', 'hold'].map((name) => join(cluster.host.directory, name)) as [
      string,
      string,
    ];
    site.zstdDoes(`if rm '${wish}' 2>/dev/null; then
  echo >'${hold}'
  while [ -e '${hold}' ]; do sleep 0.05; done
fi`);
    writeFileSync(wish, '');
    const [name = ''] = site.add(1).keys();
    await eventually(() => existsSync(hold), { what: 'zstd to be held' });
    const bytes = cluster.addSegment(name, { seed: 4711 });
    rmSync(hold);
    await untilSafe(site, new Map([[name, bytes]]));
    await endShipper(shipper);
  });

  test('whose frame is altered on its way goes as it is', async ({ world }) => {
    const site = await threeStandbys(world);
    const [first] = site.standbys;
    if (first === undefined) throw new Error('no standby');
    const wish = join(first.directory, 'wish');
    // One byte changes behind rsync, before anything is proved.
    const alter = `if [ -e '${wish}' ]; then
  for frame in .incoming/*/*/*.zst; do
    rm -f '${wish}'
    printf x | dd of="$frame" bs=1 seek=100 conv=notrunc 2>/dev/null
  done
fi
exec /usr/bin/sha256sum "$@"`;
    await usePrograms(site.world, first, ['openssl'], { sha256sum: alter });
    const shipper = await startShipper(site.cluster);
    await untilFramed(site);
    writeFileSync(wish, '');
    const segments = site.add(3);
    await untilSafe(site, segments);
    expect(existsSync(wish)).toBe(false);
    expect(shipper.output()).toMatch(
      /segments travel as they are for 60 s: s1 could not unpack .*other bytes/,
    );
    // Now it rests; the others do not.
    const next = site.add(2);
    await untilSafe(site, next);
    expect(counts(site, next.keys())).toEqual({ plain: 2, framed: 4 });
    await endShipper(shipper);
  });

  const steps = ['sha256sum', 'zstd', 'head', 'od', 'sync', 'ln'];
  test(
    'is lost or half there in no case, whatever is killed at which step',
    { timeout: 600_000 },
    async ({ world }) => {
      const site = siteOf(world, await readyCluster(world, { slaves: ['s1', 's2'], ini: patient }));
      const { cluster, standbys } = site;
      const [first] = standbys;
      if (first === undefined) throw new Error('no standby');
      const [wish, hold] = ['wish', 'hold'].map((name) => join(first.directory, name)) as [string, string];
      // The first call after the wish stops there, and goes on late, when it is not expected any more.
      const held = (name: string) => `if /usr/bin/rm '${wish}.${name}' 2>/dev/null; then
  echo >'${hold}'
  while [ -e '${hold}' ]; do sleep 0.05; done
fi
exec /usr/bin/${name} "$@"`;
      await usePrograms(
        site.world,
        first,
        ['openssl'],
        Object.fromEntries(steps.map((name) => [name, held(name)])),
      );
      for (const step of steps) {
        for (const victim of ['the connection', 'the shipper']) {
          const shipper = await startShipper(cluster);
          await untilFramed(site);
          writeFileSync(`${wish}.${step}`, '');
          const segments = site.add(2);
          await eventually(() => existsSync(hold), { limitMs: 120_000, what: `${step} to be held` });
          if (victim === 'the connection') {
            await first.sshd.kill();
            await first.sshd.start();
          } else {
            shipper.signal('SIGKILL');
            await shipper.finished;
          }
          for (const [name, bytes] of segments)
            if (existsSync(join(first.archiveDir, name)))
              expect(archivedBytes(first, name).equals(bytes)).toBe(true);
          rmSync(hold);
          const next = victim === 'the shipper' ? await startShipper(cluster) : shipper;
          await untilSafe(site, segments);
          expect(cluster.state('s1')['health']).not.toBe('conflict');
          await endShipper(next);
        }
      }
    },
  );

  test('leaves nothing if the shipper is killed while it is compressed', async ({ world }) => {
    const site = await threeStandbys(world);
    const { cluster } = site;
    const shipper = await startShipper(cluster);
    await untilFramed(site);
    const hold = join(cluster.host.directory, 'hold');
    site.zstdDoes(
      `echo half >"$target"; echo >'${hold}'; while [ -e '${hold}' ]; do sleep 0.05; done; exit 1`,
    );
    const segments = site.add(2);
    await eventually(() => existsSync(hold), { what: 'zstd to be held' });
    shipper.signal('SIGKILL');
    await shipper.finished;
    expect(marked(cluster).filter((name) => segments.has(name))).toEqual([]);
    site.zstdDoes('');
    const next = await startShipper(cluster);
    rmSync(hold);
    await untilSafe(site, segments);
    await untilFramed(site);
    await eventually(() => inFrames(site).length === 0, { what: 'no frame that nobody needs' });
    await endShipper(next);
  });

  test.skipIf(!hasSmallDisks())(
    'goes as it is where l_archivedir has no room for a frame',
    async ({ world }) => {
      const disk = await smallDisk();
      world.onClose(() => {
        disk.release();
      });
      const ini = { ...patient, l_archivedir: join(disk.directory, 'l_archive') };
      const site = siteOf(world, await readyCluster(world, { slaves: ['s1', 's2'], ini }));
      const shipper = await startShipper(site.cluster);
      await untilFramed(site);
      disk.fill();
      const segments = site.add(3);
      for (const standby of site.standbys)
        await eventually(() => [...segments.keys()].every((name) => archivedFiles(standby).includes(name)), {
          limitMs: 120_000,
          what: `the segments at ${standby.name}`,
        });
      expect(counts(site, segments.keys()).plain).toBeGreaterThan(0);
      disk.relieve();
      await untilSafe(site, segments);
      await endShipper(shipper);
    },
  );

  test.skipIf(!hasSmallDisks())(
    'waits for room on the standby, and nothing half is left there',
    async ({ world }) => {
      const site = siteOf(
        world,
        await readyCluster(world, { slaves: ['s1', 's2'], ini: { queue_after: 1 } }),
      );
      const { cluster, standbys } = site;
      const [first, second] = standbys;
      if (first === undefined || second === undefined) throw new Error('no standby');
      const disk = await smallDisk();
      world.onClose(() => {
        disk.release();
      });
      const archive = join(disk.directory, 'archive');
      mkdirSync(archive, { mode: 0o700 });
      writeFileSync(join(archive, '.pitrtools'), readFileSync(join(first.archiveDir, '.pitrtools')));
      cluster.writeIni({}, { s1: { r_archivedir: archive } });
      const onDisk = { ...site, standbys: [{ ...first, archiveDir: archive }, second] };
      const shipper = await startShipper(cluster);
      await untilFramed(onDisk);
      const before = readdirSync(archive).sort();
      // Enough for both frames, of half a megabyte each, but not for a segment beside its frame.
      disk.fill(1_250_000);
      const segments = site.add(2);
      await eventually(() => cluster.state('s1')['health'] === 'no-space', { what: 'the full disk' });
      expect(readdirSync(archive).sort(), readdirSync(archive).join(' ')).toEqual(before);
      disk.relieve();
      await untilSafe(onDisk, segments);
      await endShipper(shipper);
    },
  );
});
