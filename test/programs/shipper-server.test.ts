import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { wideMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { sendSignal } from '../harness/processes.ts';
import { createWorld, type World } from '../harness/world.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { goOffline, shipperPids, systemIdentifierOf } from './shipper-kit.ts';

let world: World;

async function readyPrimary(slaves: readonly string[]): Promise<Primary> {
  // Small segments, where initdb can make them.
  const size = world.major < 11 ? {} : { walSegmentMb: 1 };
  const primary = await world.startPrimary({ slaves, ...size });
  for (const name of slaves) prepareArchive(await world.host(name), await systemIdentifierOf(primary));
  expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
  return primary;
}

async function switchWal(primary: Primary): Promise<string> {
  await primary.sql('CREATE TABLE IF NOT EXISTS t (n int)');
  await primary.sql('INSERT INTO t SELECT generate_series(1, 100)');
  return primary.switchWal();
}

describe.each(wideMajors())('a server of PostgreSQL %i with a shipper', (major) => {
  beforeEach(async () => {
    world = await createWorld({ major });
  });
  afterEach(async () => {
    await world.close();
  });

  test('starts the shipper by archive_command, replaces a killed one, and does not wait for its end', async () => {
    const primary = await readyPrimary(['s1']);
    const s1 = await world.host('s1');
    const first = await switchWal(primary);
    await primary.archived(first);
    await eventually(() => shipperPids(primary.host).length === 1);
    await eventually(() => archivedFiles(s1).includes(first));
    const [pid = 0] = shipperPids(primary.host);
    sendSignal(pid, 'SIGKILL');
    await eventually(() => shipperPids(primary.host).length === 0);
    const second = await switchWal(primary);
    await primary.archived(second);
    await eventually(() => shipperPids(primary.host).length === 1);
    await eventually(() => archivedFiles(s1).includes(second));
    await primary.stop();
    expect(shipperPids(primary.host)).toHaveLength(1);
    await eventually(() => shipperPids(primary.host).length === 0, { limitMs: 120_000, what: 'the end' });
    expect(readFileSync(join(primary.lArchiveDir, '.archiver', 'shipper.log'), 'utf8')).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC NOTICE: .*nothing more can be delivered/m,
    );
  });

  test('archives nothing from the next call on while offline, and continues where it stopped when online', async () => {
    const primary = await readyPrimary(['s1', 's2']);
    const s1 = await world.host('s1');
    const before = await switchWal(primary);
    await primary.archived(before);
    await eventually(() => shipperPids(primary.host).length === 1);
    await eventually(async () => (await primary.archiver()).lastArchived === before);
    const { archived } = await primary.archiver();
    primary.writeIni({ state: 'offline' });
    // At once, while the shipper may not have seen the change: the call must say no all the same.
    const names = [await switchWal(primary)];
    await goOffline(primary);
    for (let index = 0; index < 4; index++) names.push(await switchWal(primary));
    await eventually(async () => (await primary.archiver()).failed > 0);
    expect((await primary.archiver()).archived).toBe(archived);
    for (const name of names.slice(1)) expect(archivedFiles(s1)).not.toContain(name);
    primary.writeIni({ state: 'online' });
    for (const name of names) await primary.archived(name, 120_000);
    await eventually(() => names.every((name) => archivedFiles(s1).includes(name)));
  });

  test('logs once that a standby is in trouble, once that it has recovered, and once that it is abandoned', async () => {
    const primary = await readyPrimary(['s1', 's2']);
    const s1 = await world.host('s1');
    const archiveOne = async (): Promise<void> => primary.archived(await switchWal(primary));
    const said = (message: RegExp): number =>
      primary
        .logText()
        .split('\n')
        .filter((line) => message.test(line)).length;
    /** The shipper notices at some time, and the next segment says it. */
    const saidOnce = async (message: RegExp): Promise<void> => {
      await eventually(async () => {
        await archiveOne();
        return said(message) > 0;
      });
      // From here on the shell answers again.
      expect(existsSync(join(primary.lArchiveDir, '.archiver', 'news'))).toBe(false);
      for (let more = 0; more < 3; more++) await archiveOne();
      expect(said(message)).toBe(1);
    };
    await archiveOne();
    await eventually(() => shipperPids(primary.host).length === 1);
    await s1.sshd.kill();
    await saidOnce(/^WARNING: WAL for standby s1 is queued: .*\(since .* UTC\)$/);
    await s1.sshd.start();
    await eventually(() => primary.queue('s1').length === 0);
    await saidOnce(/^NOTICE: standby s1 takes WAL again, and its queue is empty \(since .* UTC\)$/);
    expect(await world.cmdArchiver(primary, ['--abandon', 's1'])).toMatchObject({ code: 0 });
    await saidOnce(/^WARNING: standby s1 is abandoned and needs a new base backup: .*\(since .* UTC\)$/);
    expect(primary.logText()).not.toMatch(/standby s2/);
  });

  test('ships a segment with a marker to a standby that is added later', async () => {
    const primary = await readyPrimary(['s1']);
    const s2 = await world.host('s2');
    prepareArchive(s2, await systemIdentifierOf(primary));
    await primary.archived(await switchWal(primary));
    // The archiver is kept from asking, so that the marker of what is ready stands.
    const command = await primary.value('SHOW archive_command');
    await primary.sql(`ALTER SYSTEM SET archive_command = '/bin/false'`);
    await primary.sql('SELECT pg_reload_conf()');
    const name = await switchWal(primary);
    const marker = join(primary.lArchiveDir, '.archiver', 'current', name);
    await eventually(() => readIfThere(marker) !== undefined, { what: 'a marker' });
    primary.writeIni({ slaves: 's1, s2' }, { s2: { r_archivedir: s2.archiveDir } });
    expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
    await primary.sql(`ALTER SYSTEM SET archive_command = '${command}'`);
    await primary.sql('SELECT pg_reload_conf()');
    await primary.archived(name, 90_000);
    await eventually(() => archivedFiles(s2).includes(name) || primary.queue('s2').includes(name));
  });
});

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
