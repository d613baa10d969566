import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { writeIni } from '../harness/ini.ts';
import type { Running } from '../harness/processes.ts';
import { sampled } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  archivedBytes,
  archivedFiles,
  type FakeCluster,
  fakeCluster,
  readyCluster,
} from './archiver-cluster.ts';
import {
  makeDone,
  makeReady,
  marked,
  pretendRunning,
  privatePath,
  startShipper,
  untilMarked,
} from './shipper-kit.ts';

/** However slow this machine is, nothing goes by way of a queue. */
const patient = { queue_after: 60 };

interface Site {
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

function lines(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

function siteOf(world: World, cluster: FakeCluster): Site {
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
function counts(
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

async function untilSafe({ cluster, standbys }: Site, segments: Map<string, Buffer>): Promise<void> {
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
async function untilFramed(site: Site, takers = site.standbys.length): Promise<void> {
  await eventually(
    async () => {
      const segments = site.add(2);
      await untilSafe(site, segments);
      return counts(site, segments.keys()).framed >= takers * segments.size;
    },
    { limitMs: 120_000, what: 'frames for all' },
  );
}

async function end(shipper: Running): Promise<void> {
  shipper.signal('SIGTERM');
  expect(await shipper.finished).toMatchObject({ code: 0 });
}

/** From now on the standby's programs are found here: those of the system but `without`, and ours in place of some. */
async function usePrograms(
  { world }: Site,
  standby: Host,
  without: readonly string[],
  scripts: Readonly<Record<string, string>> = {},
): Promise<void> {
  const directory = join(standby.directory, 'programs');
  mkdirSync(directory);
  for (const name of readdirSync('/usr/bin'))
    if (!without.includes(name) && !(name in scripts))
      symlinkSync(join('/usr/bin', name), join(directory, name));
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  await standby.sshd.reconfigure([`SetEnv PITRTOOLS_TEST_WORLD=${world.directory} PATH=${directory}`]);
}

function inFrames({ cluster }: Site): string[] {
  const directory = privatePath(cluster, 'frames');
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((path) => path.endsWith('.zst'));
}

const inboxes = (standby: Host): string[] =>
  readdirSync(join(standby.archiveDir, '.incoming'), { recursive: true }).map(String);

async function threeStandbys(world: World, ini: Record<string, string | number> = patient): Promise<Site> {
  return siteOf(world, await readyCluster(world, { slaves: ['s1', 's2', 's3'], ini }));
}

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
    await end(shipper);
    expect(existsSync(privatePath(site.cluster, 'frames'))).toBe(false);
    for (const standby of site.standbys)
      expect(inboxes(standby).filter((path) => /[0-9A-F]{24}/.test(path))).toEqual([]);
  });

  test('goes as it is to the one that cannot unpack it', async ({ world }) => {
    const site = await threeStandbys(world);
    const [, , unable] = site.standbys;
    if (unable === undefined) throw new Error('no standby');
    await usePrograms(site, unable, ['zstd']);
    const shipper = await startShipper(site.cluster);
    await untilFramed(site, 2);
    const segments = site.add(3);
    await untilSafe(site, segments);
    expect(counts(site, segments.keys())).toEqual({ plain: 3, framed: 6 });
    await end(shipper);
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
    await end(shipper);
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
    await end(shipper);
  });

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
    await end(shipper);
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
    await end(shipper);
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
    await usePrograms(site, first, ['openssl'], { sha256sum: alter });
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
    await end(shipper);
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
        site,
        first,
        ['openssl'],
        Object.fromEntries(steps.map((name) => [name, held(name)])),
      );
      const strikes = steps.flatMap((step) =>
        ['the connection', 'the shipper'].map((victim) => ({ step, victim })),
      );
      for (const { step, victim } of sampled(strikes, 3)) {
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
        await end(next);
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
    await end(next);
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
    await end(shipper);
    for (const host of cluster.standbys)
      expect(existsSync(join(host.archiveDir, '.cmd_standby.refused'))).toBe(false);
  });

  // Without them nothing is full: scripts/test mounts them where it may.
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
      // Enough for the frames, but not for what is in them.
      disk.fill(1_500_000);
      const segments = site.add(3);
      await eventually(() => cluster.state('s1')['health'] === 'no-space', { what: 'the full disk' });
      expect(readdirSync(archive).sort()).toEqual(before);
      disk.relieve();
      await untilSafe(onDisk, segments);
      await end(shipper);
    },
  );

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
      await end(shipper);
    },
  );
});
