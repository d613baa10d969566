import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeIni } from '../harness/ini.ts';
import { test } from '../harness/test.ts';
import { fakeCluster } from './archiver-cluster.ts';
import {
  counts,
  inFrames,
  lines,
  patient,
  siteOf,
  threeStandbys,
  untilFramed,
  untilSafe,
} from './compress-once-kit.ts';
import { endShipper, inboxes, privatePath, startShipper, untilMarked, usePrograms } from './shipper-kit.ts';

describe('a segment that several standbys need', () => {
  test('is compressed once, and each of them gets the frame', async ({ world }) => {
    const site = await threeStandbys(world);
    const early = site.add(6);
    const shipper = await startShipper(site.cluster);
    await untilSafe(site, early);
    await untilFramed(site);
    // One alone, which is too full to travel without rsync.
    const alone = site.add(1);
    await untilSafe(site, alone);
    expect(counts(site, alone.keys())).toEqual({ plain: 0, framed: 3 });
    const all = site.compressed();
    expect(new Set(all).size).toBe(all.length);
    await eventually(() => inFrames(site).length === 0, { what: 'no frame that nobody needs' });
    await endShipper(shipper);
    expect(existsSync(privatePath(site.cluster, 'frames'))).toBe(false);
    for (const standby of site.standbys)
      expect(inboxes(standby).filter((path) => /[0-9A-F]{24}/.test(path))).toEqual([]);
  });

  test('goes as it is to the one that cannot unpack it', async ({ world }) => {
    const site = await threeStandbys(world);
    const [, , unable] = site.standbys;
    if (unable === undefined) throw new Error('no standby');
    await usePrograms(site.world, unable, ['zstd']);
    const shipper = await startShipper(site.cluster);
    await untilFramed(site, 2);
    const segments = site.add(3);
    await untilSafe(site, segments);
    expect(counts(site, segments.keys())).toEqual({ plain: 3, framed: 6 });
    await endShipper(shipper);
  });

  test('is unpacked by a zstd that does not know the option which saves a thread', async ({ world }) => {
    const site = await threeStandbys(world);
    const [, , old] = site.standbys;
    if (old === undefined) throw new Error('no standby');
    const calls = join(old.directory, 'zstd-calls');
    const refused = join(old.directory, 'zstd-refused');
    const zstd = `for word; do
  [ "$word" = --no-asyncio ] || continue
  echo refused >>'${refused}'
  echo 'Incorrect parameters' >&2
  exit 1
done
echo called >>'${calls}'
exec /usr/bin/zstd "$@"`;
    await usePrograms(site.world, old, [], { zstd });
    const shipper = await startShipper(site.cluster);
    await untilFramed(site);
    expect(lines(refused).length).toBeGreaterThan(0);
    expect(lines(calls).length).toBeGreaterThan(0);
    await endShipper(shipper);
  });

  test('travels as it is where rsync would do more to it, or only one standby is there', async ({
    world,
  }) => {
    const site = await threeStandbys(world);
    site.cluster.writeIni({}, { s1: { rsync_flags: '-z --sparse' }, s2: { rsync_flags: '-z --chmod=F600' } });
    const shipper = await startShipper(site.cluster);
    const segments = site.add(4);
    await untilSafe(site, segments);
    expect(counts(site, segments.keys())).toEqual({ plain: 12, framed: 0 });
    expect(site.compressed()).toEqual([]);
    await endShipper(shipper);
  });

  test('goes as a frame from the queues, too, whose copy is compressed once', async ({ world }) => {
    const site = await threeStandbys(world, { queue_after: 1, ssh_timeout: 2 });
    const { cluster, standbys } = site;
    for (const { sshd } of standbys) await sshd.kill();
    const shipper = await startShipper(cluster);
    const segments = site.add(12);
    await untilMarked(cluster, segments.keys());
    for (const name of ['s1', 's2', 's3']) expect(cluster.queue(name)).toEqual([...segments.keys()]);
    // The first one that comes back may find no other.
    for (const { sshd } of standbys) await sshd.start();
    await untilSafe(site, segments);
    const all = site.compressed();
    expect(new Set(all).size).toBe(all.length);
    await untilFramed(site);
    await endShipper(shipper);
  });

  test('goes as a frame with a restricted key, and nothing is refused', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1', 's2'], ini: patient });
    for (const host of cluster.standbys) {
      mkdirSync(host.archiveDir, { mode: 0o700, recursive: true });
      const iniFile = join(host.directory, 'cmd_standby.ini');
      const keys = {
        master_public_ip: '127.0.0.1',
        pgdata: join(host.directory, 'pgdata'),
        archivedir: host.archiveDir,
        rsync: '/usr/bin/rsync',
      };
      writeIni(iniFile, { keys });
      const command = `${checkout('bin', 'cmd_standby')} -C ${iniFile} --serve`;
      host.sshd.authorize(`restrict,command="${command}"`);
    }
    expect(await cluster.run(['-I'])).toMatchObject({ code: 0 });
    const site = siteOf(world, cluster);
    const shipper = await startShipper(cluster);
    await untilFramed(site);
    await endShipper(shipper);
    for (const host of cluster.standbys)
      expect(existsSync(join(host.archiveDir, '.cmd_standby.refused'))).toBe(false);
  });
});
