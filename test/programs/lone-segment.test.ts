import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { writeIni } from '../harness/ini.ts';
import { processesOf } from '../harness/process-table.ts';
import { sendSignal } from '../harness/processes.ts';
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
  endShipper,
  inboxes,
  makeDone,
  makeReady,
  pretendRunning,
  startShipper,
  untilMarked,
  usePrograms,
} from './shipper-kit.ts';

interface Site {
  readonly world: World;
  readonly cluster: FakeCluster;
  readonly standby: Host;
  /** How often rsync was started on the primary. */
  readonly transfers: () => number;
  /** A switched segment: only its beginning is used. PostgreSQL has it ready. */
  readonly addShort: () => { readonly name: string; readonly bytes: Buffer };
}

/** However slow this machine is, nothing goes by way of a queue. */
const patient = { queue_after: 60 };

function siteOf(world: World, cluster: FakeCluster): Site {
  const [standby] = cluster.standbys;
  if (standby === undefined) throw new Error('no standby');
  pretendRunning(world, cluster);
  const log = join(cluster.host.directory, 'transfers');
  const rsync = writeScript(cluster.host, 'counting-rsync', `echo run >>'${log}'; exec /usr/bin/rsync "$@"`);
  cluster.writeIni({ rsync_bin: rsync });
  // rsync also says its version.
  const transfers = () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').length - 1 : 0);
  let number = 0;
  const addShort = () => {
    const name = cluster.segment((number += 1));
    const bytes = cluster.addSegment(name, { seed: number });
    bytes.fill(0, 8192 * (1 + (number % 30)) - 100);
    cluster.addFile(name, bytes);
    makeReady(cluster, name);
    return { name, bytes };
  };
  return { world, cluster, standby, transfers, addShort };
}

async function deliver({ cluster, standby, addShort }: Site): Promise<void> {
  const { name, bytes } = addShort();
  await untilMarked(cluster, [name]);
  await untilArchived(standby, name);
  expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
  makeDone(cluster, name);
}

async function untilArchived(standby: Host, name: string): Promise<void> {
  await eventually(() => archivedFiles(standby).includes(name), { what: `${name} at the standby` });
}

/** Delivers segments until one has needed no rsync: the session is open now. */
async function untilTaken(site: Site): Promise<void> {
  await eventually(
    async () => {
      const before = site.transfers();
      await deliver(site);
      return site.transfers() === before;
    },
    { what: 'a segment without rsync' },
  );
}

/** The scripts at the standbys that take segments. */
const takers = ({ world }: Site) =>
  processesOf(world.directory).filter(({ commandLine }) => commandLine.includes('part=$inbox/.taking'));

describe('a lone segment of few bytes', () => {
  test('is taken by the standby without rsync; one that is full is not', async ({ world }) => {
    const site = siteOf(world, await readyCluster(world, { slaves: ['s1'], ini: patient }));
    const { cluster, standby, transfers } = site;
    const shipper = await startShipper(cluster);
    await untilTaken(site);
    expect(takers(site)).toHaveLength(1);
    const name = cluster.segment(500);
    const bytes = cluster.addSegment(name, { seed: 500 });
    const before = transfers();
    makeReady(cluster, name);
    await untilMarked(cluster, [name]);
    expect(transfers()).toBe(before + 1);
    expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
    await untilTaken(site);
    await endShipper(shipper);
    await eventually(() => takers(site).length === 0, { what: 'the end of the session' });
    expect(inboxes(standby).filter((path) => /[0-9A-F]{24}|taking/.test(path))).toEqual([]);
  });

  test('is refused where its name has other bytes, and the file there stays', async ({ world }) => {
    const site = siteOf(world, await readyCluster(world, { slaves: ['s1'], ini: patient }));
    const { cluster, standby } = site;
    await startShipper(cluster);
    await untilTaken(site);
    const { name, bytes } = site.addShort();
    await untilMarked(cluster, [name]);
    makeDone(cluster, name);
    // The same bytes once more are success.
    makeReady(cluster, name);
    await untilMarked(cluster, [name]);
    makeDone(cluster, name);
    const other = Buffer.from(bytes);
    other[4000] = (other[4000] ?? 0) + 1;
    await untilTaken(site);
    cluster.addFile(name, other);
    makeReady(cluster, name);
    await eventually(() => cluster.state('s1')['health'] === 'conflict', { what: 'the conflict' });
    expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
    expect(cluster.queue('s1')).toContain(name);
  });

  test('goes by rsync where the standby lacks a program for it', async ({ world }) => {
    const site = siteOf(world, await readyCluster(world, { slaves: ['s1'], ini: patient }));
    await usePrograms(site.world, site.standby, ['sha256sum']);
    const shipper = await startShipper(site.cluster);
    for (let count = 0; count < 5; count++) {
      const before = site.transfers();
      await deliver(site);
      expect(site.transfers()).toBeGreaterThan(before);
      expect(takers(site)).toEqual([]);
    }
    await endShipper(shipper);
  });

  const steps = ['head', 'sha256sum', 'fallocate', 'touch', 'sync', 'mv', 'ln'];
  test(
    'is lost or half there in no case, whatever is killed at which step',
    { timeout: 600_000 },
    async ({ world }) => {
      const site = siteOf(world, await readyCluster(world, { slaves: ['s1'], ini: patient }));
      const { cluster, standby } = site;
      const [wish, hold] = ['wish', 'hold'].map((name) => join(standby.directory, name)) as [string, string];
      // The first call after the wish stops there, and goes on late, when it is not expected any more.
      const held = (name: string) => `if rm '${wish}.${name}' 2>/dev/null; then
  echo >'${hold}'
  while [ -e '${hold}' ]; do sleep 0.05; done
fi
exec /usr/bin/${name} "$@"`;
      await usePrograms(
        site.world,
        site.standby,
        [],
        Object.fromEntries(steps.map((name) => [name, held(name)])),
      );
      const strikes = steps.flatMap((step, index) =>
        ['the script', 'the shipper', ...(index % 2 === 0 ? ['the connection'] : [])].map((victim) => ({
          step,
          victim,
        })),
      );
      for (const { step, victim } of sampled(strikes, 4)) {
        const shipper = await startShipper(cluster);
        await untilTaken(site);
        writeFileSync(`${wish}.${step}`, '');
        const { name, bytes } = site.addShort();
        await eventually(() => existsSync(hold), { what: `${step} to be held` });
        const [taker] = takers(site);
        if (victim === 'the script' && taker !== undefined) sendSignal(taker.pid, 'SIGKILL');
        if (victim === 'the connection') {
          await standby.sshd.kill();
          await standby.sshd.start();
        }
        if (victim === 'the shipper') {
          shipper.signal('SIGKILL');
          await shipper.finished;
        }
        if (existsSync(join(standby.archiveDir, name)))
          expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
        rmSync(hold);
        const next = victim === 'the shipper' ? await startShipper(cluster) : shipper;
        await untilMarked(cluster, [name]);
        // After trouble with the connection it may come from the queue.
        await untilArchived(standby, name);
        expect(archivedBytes(standby, name).equals(bytes)).toBe(true);
        expect(cluster.state('s1')['health']).not.toBe('conflict');
        makeDone(cluster, name);
        await endShipper(next);
      }
    },
  );

  test('is taken with a restricted key, and nothing is refused', async ({ world }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1'], ini: patient });
    const [host] = cluster.standbys;
    if (host === undefined) throw new Error('no standby');
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
    expect(await cluster.run(['-I'])).toMatchObject({ code: 0 });
    const site = siteOf(world, cluster);
    const shipper = await startShipper(cluster);
    await untilTaken(site);
    const [taker] = takers(site);
    expect(taker).toBeDefined();
    if (taker !== undefined) sendSignal(taker.pid, 'SIGKILL');
    await deliver(site);
    await endShipper(shipper);
    await eventually(() => takers(site).length === 0, { what: 'the end of the session' });
    expect(existsSync(join(host.archiveDir, '.cmd_standby.refused'))).toBe(false);
  });

  // Without them nothing is full: scripts/test mounts them where it may.
  test.skipIf(!hasSmallDisks())(
    'waits for room on the standby, and nothing half is left there',
    async ({ world }) => {
      const cluster = await readyCluster(world, { slaves: ['s1'], ini: patient });
      const disk = await smallDisk();
      world.onClose(() => {
        disk.release();
      });
      const site = siteOf(world, cluster);
      const { standby } = site;
      const archive = join(disk.directory, 'archive');
      mkdirSync(archive, { mode: 0o700 });
      writeFileSync(join(archive, '.pitrtools'), readFileSync(join(standby.archiveDir, '.pitrtools')));
      cluster.writeIni({}, { s1: { r_archivedir: archive } });
      const onDisk = { ...site, standby: { ...standby, archiveDir: archive } };
      const shipper = await startShipper(cluster);
      await untilTaken(onDisk);
      const before = archivedFiles(onDisk.standby);
      disk.fill();
      const { name, bytes } = site.addShort();
      await eventually(() => cluster.state('s1')['health'] === 'no-space', { what: 'the full disk' });
      expect(archivedFiles(onDisk.standby)).toEqual(before);
      disk.relieve();
      await untilMarked(cluster, [name]);
      await eventually(() => archivedFiles(onDisk.standby).includes(name), { what: name });
      expect(archivedBytes(onDisk.standby, name).equals(bytes)).toBe(true);
      await endShipper(shipper);
    },
  );
});
