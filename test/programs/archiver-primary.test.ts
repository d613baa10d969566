import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { archivedBytes, archivedFiles } from './archiver-cluster.ts';
import { goOffline } from './shipper-kit.ts';

interface Scene {
  readonly world: World;
  readonly primary: Primary;
  readonly s1: Host;
  readonly s2: Host;
}

/** A real primary that ships to two archive directories. */
async function scene(world: World): Promise<Scene> {
  const primary = await world.startPrimary({ slaves: ['s1', 's2'], ini: { ssh_timeout: 2 }, start: false });
  const [s1, s2] = [await world.host('s1'), await world.host('s2')];
  for (const host of [s1, s2]) mkdirSync(host.archiveDir, { mode: 0o700 });
  const init = await world.cmdArchiver(primary, ['-I']);
  if (init.code !== 0) throw new Error(init.stdout + init.stderr);
  await primary.start();
  return { world: world, primary, s1, s2 };
}

function setRecovery(primary: Primary, major: number, lines: readonly string[], signal: string): void {
  if (major < 12) {
    const mode = signal === 'standby.signal' ? ["standby_mode = 'on'"] : [];
    writeFileSync(join(primary.pgdata, 'recovery.conf'), [...mode, ...lines, ''].join('\n'));
    return;
  }
  writeFileSync(join(primary.pgdata, signal), '');
  writeFileSync(join(primary.pgdata, 'postgresql.auto.conf'), `${lines.join('\n')}\n`);
}

describe.each(failureMajors())('archive_command of PostgreSQL %i', (major) => {
  test.override({ major });

  test('ships WAL, queues it for a standby that is down, refuses it while offline, and loses none', async ({
    world,
  }) => {
    const { world: here, primary, s1, s2 } = await scene(world);
    const first = await primary.switchWal();
    const bytes = readFileSync(join(primary.pgdata, 'pg_wal', first));
    await primary.archived(first);
    // On a busy machine it may have taken the way through the queue.
    for (const host of [s1, s2]) {
      await eventually(() => archivedFiles(host).includes(first));
      expect(archivedBytes(host, first).equals(bytes)).toBe(true);
    }

    await s1.sshd.kill();
    const second = await primary.switchWal();
    await primary.archived(second);
    expect(primary.queue('s1')).toEqual([second]);
    await eventually(() => archivedFiles(s2).includes(second));
    expect(archivedFiles(s2)).toEqual([first, second]);

    await goOffline(primary);
    const third = await primary.switchWal();
    await eventually(async () => (await primary.archiver()).failed > 0);
    expect(archivedFiles(s2)).toEqual([first, second]);
    // The archiver process has survived the failures and continues by itself.
    await s1.sshd.start();
    primary.writeIni({ state: 'online' });
    await primary.archived(third, 90_000);
    expect((await here.cmdArchiver(primary, ['--flush'])).code).toBe(0);
    for (const host of [s1, s2]) expect(archivedFiles(host)).toEqual([first, second, third]);
    expect(primary.host.notifications().map(({ severity }) => severity)).toEqual(['warning', 'ok']);
  });

  test('--flush sends the WAL that a killed primary has not archived', async ({ world }) => {
    const { world: here, primary, s1, s2 } = await scene(world);
    primary.writeIni({ state: 'offline' });
    const names = [await primary.switchWal(), await primary.switchWal()];
    await primary.kill9();
    primary.writeIni({ state: 'online' });
    const result = await here.cmdArchiver(primary, ['--flush']);
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(/PostgreSQL is stopped: 2 of 2 files/);
    for (const host of [s1, s2]) expect(archivedFiles(host)).toEqual(names);
    expect(primary.archiveStatus().filter((name) => name.endsWith('.ready'))).toEqual([]);
    await primary.start();
    const next = await primary.switchWal();
    await primary.archived(next);
    await eventually(() => archivedFiles(s1).includes(next));
    // A running server archives by itself: nothing is taken out of its hands.
    expect((await here.cmdArchiver(primary, ['--flush'])).stderr).toMatch(/PostgreSQL runs here/);
  });

  test('accepts the first segment after a promotion in the middle of a segment', async ({ world }) => {
    const { primary, s1 } = await scene(world);
    await primary.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS n');
    await primary.stop();
    setRecovery(primary, major, ["restore_command = 'false'"], 'recovery.signal');
    await primary.start();
    await eventually(async () => (await primary.value('SELECT pg_is_in_recovery()')) === 'false');
    await primary.sql('INSERT INTO t VALUES (1)');
    const segment = await primary.switchWal();
    expect(segment).toMatch(/^00000002/);
    await primary.archived(segment);
    await eventually(() => archivedFiles(s1).includes(segment));
    expect(archivedFiles(s1)).toContain('00000002.history');
    expect(archivedBytes(s1, segment).readUInt32LE(4)).toBe(1);
    expect((await primary.archiver()).failed).toBe(0);
  });

  test('with archive_mode = always, a server in recovery stores nothing and succeeds if the same bytes exist', async ({
    world,
  }) => {
    const { world: here, primary, s1, s2 } = await scene(world);
    const known = await primary.switchWal();
    await primary.archived(known);
    // The shutdown checkpoint may recycle it.
    const copy = primary.copyOfSegment(known);
    await goOffline(primary);
    const unknown = await primary.switchWal();
    await primary.stop();
    primary.configure({ archive_mode: 'always', archive_command: 'false' });
    setRecovery(primary, major, ["restore_command = 'false'"], 'standby.signal');
    await primary.start();
    await eventually(async () => (await primary.value('SELECT pg_is_in_recovery()')) === 'true');
    primary.writeIni({ state: 'online' });

    expect(await here.cmdArchiver(primary, ['-F', copy])).toMatchObject({ code: 0, stdout: '' });
    const refused = await here.cmdArchiver(primary, ['-F', `pg_wal/${unknown}`], { cwd: primary.pgdata });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/this server is in recovery/);
    for (const host of [s1, s2]) expect(archivedFiles(host)).not.toContain(unknown);
    expect(primary.queue('s1')).toEqual([]);
    expect(readdirSync(join(primary.lArchiveDir, '.archiver', 'tmp'))).toEqual([]);
  });
});
