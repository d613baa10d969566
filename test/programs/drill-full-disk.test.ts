import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { hasSmallDisks, smallDisk } from '../harness/disk.ts';
import { eventually } from '../harness/eventually.ts';
import { newestMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { backupPair } from './backup-kit.ts';
import { settingsOf, writeSql } from './drill-kit.ts';
import { archiveRows, countRows, expectExit } from './standby-kit.ts';

/** Whoever writes first finds it: a program that says it as C does, or this one, which says it as Node does. */
const noSpace = /the drill has failed: [^]*[Nn]o space left on device/;

/** A hot standby whose archive lies on a small disk; its drills are made there, too. */
async function onSmallDisk(world: World) {
  const disk = await smallDisk();
  world.onClose(() => {
    disk.release();
  });
  await world.host('standby1', { archiveDir: join(disk.directory, 'archive') });
  const drills = join(disk.directory, 'd');
  const pair = await backupPair(world, {
    cluster: { slaves: ['standby1'], walSegmentMb: 1 },
    ini: { drill_dir: drills, drill_reserve: '1MB', drill_nice: 0, drill_ionice: 'off', wal_timeout: 60 },
    standbySettings: { max_wal_size: '2MB', min_wal_size: '2MB' },
  });
  for (const action of ['-I', '-B', '-S']) expectExit(await world.cmdStandby(pair.standby, [action]), 0);
  await pair.primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  await archiveRows(pair, 10);
  await eventually(async () => (await countRows(pair.standby).catch(() => 0)) === 10);
  return { ...pair, disk, drills };
}

/** A drill that must fail while something happens, and what must hold after it. */
async function failingDrills(world: World) {
  const made = await onSmallDisk(world);
  const { primary, standby, disk, drills } = made;
  const [inForce, postmaster] = [settingsOf(standby), standby.postmaster()];
  let rows = 10;
  const unharmed = async (): Promise<void> => {
    expect(existsSync(join(drills, 'run'))).toBe(false);
    disk.relieve();
    rows += 1;
    await archiveRows({ primary, standby }, rows);
    await eventually(async () => (await countRows(standby)) === rows);
    expect(settingsOf(standby)).toEqual(inForce);
    expect(standby.postmaster()).toBe(postmaster);
  };
  const failing = async (why: RegExp, meanwhile: () => Promise<void>, ...more: string[]): Promise<void> => {
    const running = world.startStandby(standby, ['--drill', ...more]);
    await meanwhile();
    const failed = await running.finished;
    expectExit(failed, 1);
    expect(failed.stderr).toMatch(why);
    await unharmed();
  };
  const copied = () => eventually(() => existsSync(join(drills, 'run', 'pgdata', 'backup_label.old')));
  return { ...made, failing, copied };
}

// Without them nothing is full: scripts/test mounts them where it may.
describe.skipIf(!hasSmallDisks()).each(newestMajors())('a drill on a full disk, PostgreSQL %i', (major) => {
  test.override({ major });

  test('gives up before the standby wants for space', async ({ world }) => {
    const { standby, disk, drills, failing, copied } = await failingDrills(world);
    disk.fill(4 * 1024 * 1024);
    await failing(
      /the copy would take .*, and ".*" has .* free, of which drill_reserve leaves 1\.0 MB/,
      async () => {
        await Promise.resolve();
      },
    );

    standby.writeIni({ drill_sql: writeSql(standby, "SELECT pg_sleep(120)::text = '';\n") });
    await failing(/the drill gave up: the standby needs its disk: .* less than drill_reserve/, async () => {
      await copied();
      disk.fill(512 * 1024);
    });

    expect(readdirSync(drills).sort()).toEqual(['.lock', '.pitrtools-drill', 'last.json']);
  });

  test('says so where the disk itself ends it, leaves nothing, and the standby goes its way', async ({
    world,
  }) => {
    const { primary, standby, disk, drills, failing, copied } = await failingDrills(world);
    // Nothing is kept free: the disk itself ends it.
    standby.writeIni({
      drill_limit: undefined,
      drill_reserve: '0',
      drill_sql: writeSql(
        standby,
        "SELECT pg_sleep(5)::text = '';\nWITH new AS (INSERT INTO rows SELECT generate_series(1000, 99000) RETURNING id) SELECT count(*) > 0 FROM new;\n",
      ),
    });
    await failing(noSpace, async () => {
      await copied();
      disk.fill();
    });
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), Buffer.alloc(12 * 1024 * 1024, 'pitrtools'));
    standby.writeIni({ rsync_flags: '--bwlimit=500 --no-compress', drill_sql: undefined });
    await failing(
      noSpace,
      async () => {
        await eventually(() => existsSync(join(drills, 'run', 'pgdata', 'pitrtools.json')));
        disk.fill();
      },
      '--from-backup',
    );
    rmSync(join(primary.pgdata, 'aaa-bulk'));
    expect(readdirSync(drills).sort()).toEqual(['.lock', '.pitrtools-drill', 'last.json']);
    const status = await world.cmdStandby(standby, ['--status']);
    expect(status.stdout).toContain('the last drill has failed: ');
    expect(status.stdout).toContain('the last drill from a new base backup has failed: ');
  });
});
