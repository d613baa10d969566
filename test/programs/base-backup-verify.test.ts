import { rmSync, symlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { pageLayoutOf } from '../../src/postgres/control-file.ts';
import { checkFile, makeBuffer } from '../../src/standby/page-check/check-file.ts';
import { listRelationFiles } from '../../src/standby/page-check/relation-files.ts';
import { failureMajors, wideMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { type BackupPair, backupPair, blockSize, flipBit, inPgdata } from './backup-kit.ts';

/** A table of some pages, and the path of its file below the data directory. */
async function makeTable(primary: Primary): Promise<string> {
  await primary.sql(
    "CREATE TABLE t AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 1000) AS n",
  );
  await primary.sql('CHECKPOINT');
  return primary.value("SELECT pg_relation_filepath('t')");
}

async function withChecksums(here: World): Promise<BackupPair> {
  const pair = await backupPair(here, { cluster: { checksums: true } });
  expect(await here.cmdStandby(pair.standby, ['-I'])).toMatchObject({ code: 0 });
  return pair;
}

describe.each(wideMajors())('page checksums of PostgreSQL %i', (major) => {
  test.override({ major });

  test('every page of a real cluster passes at its own position, and fails at any other', async ({
    world,
  }) => {
    const primary = await world.startPrimary({ checksums: true });
    const path = await makeTable(primary);
    await primary.stop();
    const layout = pageLayoutOf(await readFile(join(primary.pgdata, 'global', 'pg_control')));
    if (layout === undefined) throw new Error('no layout');
    expect(layout).toEqual({ blockSize, segmentBlocks: 131_072, hasChecksums: true });
    const files = await listRelationFiles(primary.pgdata);
    const buffer = makeBuffer(layout);
    const checks = files.map((file) => checkFile(primary.pgdata, file, layout, buffer));
    expect(checks.flatMap(({ bad }) => bad)).toEqual([]);
    expect(checks.filter(({ trouble }) => trouble !== undefined)).toEqual([]);
    expect(checks.reduce((sum, { pages }) => sum + pages, 0)).toBeGreaterThan(2000);
    const shifted = { path, fork: 'main', segment: 1 } as const;
    const wrong = checkFile(primary.pgdata, shifted, layout, buffer);
    // Some were made ahead and are zeros, which are good anywhere.
    expect(wrong.bad.length).toBeGreaterThan(60);
  });
});

describe.each(failureMajors())('--verify on PostgreSQL %i', (major) => {
  test.override({ major });

  test('passes for a good copy, and names file and block of one changed bit, which the next -B copies again', async ({
    world,
  }) => {
    const { primary, standby } = await withChecksums(world);
    const path = await makeTable(primary);
    const good = await world.cmdStandby(standby, ['-B', '--verify']);
    expect(good).toMatchObject({ code: 0 });
    expect(good.stdout).toMatch(/verified: +\d{4,} pages in \d+ files at .*: none is damaged/);
    const alone = await world.cmdStandby(standby, ['--verify']);
    expect(alone).toMatchObject({ code: 0 });
    expect(alone.stdout).toMatch(/^Verified: \d+ pages in \d+ files, none is damaged/m);

    const link = inPgdata(standby, 'pg_tblspc/99999');
    symlinkSync(join(world.directory, 'not-mounted'), link);
    const absent = await world.cmdStandby(standby, ['--verify']);
    expect(absent).toMatchObject({ code: 4 });
    expect(absent.stderr).toContain('leads to no files of this copy: is its file system mounted?');
    rmSync(link);

    flipBit(inPgdata(standby, path), 17);
    const damaged = await world.cmdStandby(standby, ['--verify']);
    expect(damaged).toMatchObject({ code: 1 });
    expect(damaged.stderr).toContain(`${path}, block 17: damaged in the copy; the primary's page is good`);
    expect(damaged.stderr.match(/block \d+: /g)).toHaveLength(1);
    const info = await world.cmdStandby(standby, ['--backup-info']);
    expect(info.stdout).toContain(`${path}, block 17: damaged in the copy`);

    expect(await world.cmdStandby(standby, ['-B', '--verify'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['--verify'])).toMatchObject({ code: 0 });
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    const started = await world.cmdStandby(standby, ['--verify']);
    expect(started).toMatchObject({ code: 4 });
    expect(started.stderr).toContain('a server has run on');
  });

  test('reports a page that is damaged on the primary by its exit status, after the copy is finished', async ({
    world,
  }) => {
    const { primary, standby } = await withChecksums(world);
    const path = await makeTable(primary);
    await primary.stop();
    flipBit(join(primary.pgdata, path), 23);
    await primary.start();
    const backup = await world.cmdStandby(standby, ['-B', '--verify', '--json']);
    expect(backup).toMatchObject({ code: 1 });
    expect(backup.stderr).toContain(`${path}, block 23: damaged on the primary, too`);
    expect(JSON.parse(backup.stdout)).toMatchObject({
      status: 'complete',
      verified: { findings: [{ file: path, block: 23, kind: 'bad-source' }] },
    });
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
  });

  test('reports failing pages as not compared if the primary cannot be asked', async ({ world }) => {
    const { primary, standby } = await withChecksums(world);
    const path = await makeTable(primary);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    await primary.stop('immediate');
    expect(await world.cmdStandby(standby, ['--verify'])).toMatchObject({ code: 0 });
    flipBit(inPgdata(standby, path), 3);
    const damaged = await world.cmdStandby(standby, ['--verify', '--json']);
    expect(damaged).toMatchObject({ code: 1 });
    expect(JSON.parse(damaged.stdout)).toMatchObject({
      findings: [{ file: path, block: 3, kind: 'unclear' }],
    });
    expect(damaged.stderr).toContain('cannot be compared with the primary');
  });

  test('is skipped by -B with a notice in a cluster without checksums, and refuses when it runs alone', async ({
    world,
  }) => {
    const { standby } = await backupPair(world, { cluster: { checksums: false } });
    await world.cmdStandby(standby, ['-I']);
    const backup = await world.cmdStandby(standby, ['-B', '--verify']);
    expect(backup).toMatchObject({ code: 0 });
    expect(backup.stderr).toContain('NOTICE: the primary has no data checksums');
    const alone = await world.cmdStandby(standby, ['--verify']);
    expect(alone).toMatchObject({ code: 4 });
    expect(alone.stderr).toContain('has no data checksums');
  });
});
