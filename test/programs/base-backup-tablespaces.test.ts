import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata, isCopying } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

async function makeTablespace(primary: Primary, name: string): Promise<string> {
  const location = join(primary.host.directory, 'spaces', name);
  mkdirSync(location, { recursive: true });
  await primary.sql(`CREATE TABLESPACE "${name}" LOCATION '${location}'`);
  await primary.sql(`CREATE TABLE "in ${name}" TABLESPACE "${name}" AS SELECT generate_series(1, 5000) AS n`);
  return location;
}

const megabyte = 1024 * 1024;

describe.each(failureMajors())('tablespaces on PostgreSQL %i', (major) => {
  test.override({ major });

  test('-B copies two of them although a file vanishes and pgdata has another path (bug of the original: a base backup with a tablespace crashes)', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_flags: '--bwlimit=2000' } });
    const locations = [await makeTablespace(primary, 'fast'), await makeTablespace(primary, 'very slow')];
    const here = ['a', 'b c'].map((name) => join(standby.host.directory, 'spaces', name));
    appendFileSync(
      standby.iniFile,
      `\n[tablespaces]\n${locations.map((path, i) => `${path} = ${here[i] ?? ''}\n`).join('')}`,
    );
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
    expect(here.every((path) => existsSync(path))).toBe(true);
    writeFileSync(join(here[0] ?? '', 'of somebody else'), '');

    const bulk = join(primary.pgdata, 'aaa-bulk');
    const vanishing = join(primary.pgdata, 'zzz-vanishing');
    writeFileSync(bulk, randomBytes(6 * megabyte));
    writeFileSync(vanishing, randomBytes(1000));
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby));
    rmSync(vanishing);
    const backup = await running.finished;
    expect(backup).toMatchObject({ code: 0 });
    expect(backup.stderr).toContain('files vanished during the copy');
    expect(existsSync(inPgdata(standby, 'zzz-vanishing'))).toBe(false);
    expect(existsSync(join(here[0] ?? '', 'of somebody else'))).toBe(true);
    const links = readdirSync(inPgdata(standby, 'pg_tblspc'));
    expect(links.map((oid) => readlinkSync(inPgdata(standby, 'pg_tblspc', oid))).sort()).toEqual(here);

    rmSync(bulk);
    expect(await world.cmdStandby(standby, ['-S'])).toMatchObject({ code: 0 });
    await primary.sql('INSERT INTO "in very slow" VALUES (5001)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT max(n) FROM "in very slow"')) === '5001');
    expect(await standby.value('SELECT count(*) FROM "in fast"')).toBe('5000');
    const spaces = await standby.sql('SELECT pg_tablespace_location(oid) AS l FROM pg_tablespace ORDER BY 1');
    expect(spaces.map(({ l }) => l)).toEqual(['', '', ...here]);
  });

  test('-B copies three of them (one mapped to another path, one behind links, one inside pgdata), the standby replays, and -F999 works', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world, { ini: { rsync_threads: 2 } });
    const plain = await makeTablespace(primary, 'plain');
    const [theirs, ours] = [primary, standby].map(({ host }) => join(host.directory, 'linked space'));
    for (const link of [theirs ?? '', ours ?? '']) {
      mkdirSync(`${link} itself`);
      symlinkSync(`${link} itself`, link);
    }
    await primary.sql(`CREATE TABLESPACE linked LOCATION '${theirs ?? ''}'`);
    await primary.sql('CREATE TABLE "in linked" TABLESPACE linked AS SELECT generate_series(1, 5000) AS n');
    mkdirSync(join(primary.pgdata, 'inside'));
    await primary.sql(`CREATE TABLESPACE inside LOCATION '${join(primary.pgdata, 'inside')}'`);
    await primary.sql('CREATE TABLE "in inside" TABLESPACE inside AS SELECT generate_series(1, 5000) AS n');
    const elsewhere = join(standby.host.directory, 'else \\where');
    appendFileSync(
      standby.iniFile,
      `\n[tablespaces]\n${plain} = ${elsewhere}\n${theirs ?? ''} = ${ours ?? ''}\n`,
    );
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    // As a killed run with basebackup_method: pg_basebackup leaves it.
    const leftovers = [standby.pgdata, elsewhere, ours ?? ''].map((path) =>
      join(path, '.pitrtools-receiving'),
    );
    for (const path of leftovers) mkdirSync(join(path, 'base'), { recursive: true });
    for (const action of ['-B', '-S']) expectExit(await world.cmdStandby(standby, [action]), 0);
    expect(leftovers.filter((path) => existsSync(path))).toEqual([]);
    expect(readdirSync(`${ours ?? ''} itself`).join()).toMatch(/^PG_/);

    for (const name of ['plain', 'linked', 'inside'])
      await primary.sql(`INSERT INTO "in ${name}" VALUES (5001)`);
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM "in inside"')) === '5001');
    await primary.kill9();
    expectExit(await world.cmdStandby(standby, ['-F999']), 0);
    for (const name of ['plain', 'linked', 'inside'])
      expect(await standby.value(`SELECT count(*) FROM "in ${name}"`)).toBe('5001');
    const spaces = await standby.sql('SELECT pg_tablespace_location(oid) AS l FROM pg_tablespace');
    expect(spaces.map(({ l }) => l).filter((path) => path !== '')).toHaveLength(3);
  });

  test('-B refuses a tablespace that is not mounted on the primary, and copies it once it is', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    const location = await makeTablespace(primary, 'fast');
    const here = join(standby.host.directory, 'fast');
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${here}\n`);
    expect(await world.cmdStandby(standby, ['-I'])).toMatchObject({ code: 0 });
    // Nothing is left to be written there.
    await primary.sql('CHECKPOINT');
    renameSync(location, `${location}.unmounted`);
    const refused = await world.cmdStandby(standby, ['-B']);
    expectExit(refused, 4);
    expect(refused.stderr).toContain('where the files of tablespace "fast" should be');
    expect(refused.stderr).toContain('The primary still has this tablespace.');
    renameSync(`${location}.unmounted`, location);
    expect(await world.cmdStandby(standby, ['-B'])).toMatchObject({ code: 0 });
    expect(readdirSync(here)).toHaveLength(1);
  });

  test('-B refuses tablespaces that would overlap here, also by a link', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const locations = [await makeTablespace(primary, 'one'), await makeTablespace(primary, 'two')];
    const real = join(standby.host.directory, 'real');
    mkdirSync(join(real, 'below'), { recursive: true });
    symlinkSync(join(real, 'below'), join(standby.host.directory, 'link'));
    appendFileSync(
      standby.iniFile,
      `\n[tablespaces]\n${locations[0] ?? ''} = ${real}\n${locations[1] ?? ''} = ${join(standby.host.directory, 'link')}\n`,
    );
    for (const action of ['-I', '-B']) {
      const run = await world.cmdStandby(standby, [action]);
      expectExit(run, 4);
      expect(run.stderr).toContain(`"${join(standby.host.directory, 'link')}" lies in "${real}"`);
    }
    expect(existsSync(standby.pgdata)).toBe(false);
  });

  test('-B replaces a tablespace of another cluster only with --force, and one of this standby or of its interrupted copy without', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    const location = await makeTablespace(primary, 'fast');
    const folder = readdirSync(location)[0] ?? '';
    const here = join(standby.host.directory, 'spaces');
    const [precious, sibling] = [join(here, folder, '99999'), join(here, 'PG_8.9_200801011')];
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${here}\n`);
    for (const path of [precious, sibling]) mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const action of ['-I', '-B']) {
      const run = await world.cmdStandby(standby, [action]);
      expectExit(run, 4);
      expect(run.stderr).toContain(`"${join(here, folder)}" is not empty, and nothing in`);
    }
    expect(existsSync(precious)).toBe(true);
    rmSync(precious, { recursive: true });
    expectExit(await world.cmdStandby(standby, ['-I']), 0);

    // The links are made after the copy: until then only the record shows whose the files are.
    writeFileSync(join(primary.pgdata, 'aaa-bulk'), randomBytes(6 * megabyte));
    standby.writeIni({ basebackup_bwlimit: 2000 });
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${here}\n`);
    const running = world.startStandby(standby, ['-B']);
    await eventually(() => isCopying(standby) && readdirSync(join(here, folder)).length > 0);
    running.signal('SIGKILL');
    await running.finished;
    expect(existsSync(inPgdata(standby, 'pg_tblspc')) && readdirSync(inPgdata(standby, 'pg_tblspc'))).toEqual(
      [],
    );
    standby.writeIni({ basebackup_bwlimit: 0 });
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${location} = ${here}\n`);
    for (const action of ['-B', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);

    rmSync(standby.pgdata, { recursive: true });
    mkdirSync(precious);
    expectExit(await world.cmdStandby(standby, ['-B']), 4);
    expectExit(await world.cmdStandby(standby, ['-B', '--force']), 0);
    expect([precious, sibling].map((path) => existsSync(path))).toEqual([false, true]);
  });

  test('-B leaves the old standby unchanged if a tablespace directory cannot be made or used', async ({
    world,
  }) => {
    const { primary, standby } = await backupPair(world);
    for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action]), 0);
    const locations = [await makeTablespace(primary, 'one'), await makeTablespace(primary, 'two')];
    const locked = join(standby.host.directory, 'locked');
    mkdirSync(locked, { mode: 0o500 });
    const here = ['one', 'deep/two'].map((path) => join(locked, path));
    appendFileSync(
      standby.iniFile,
      `\n[tablespaces]\n${locations.map((path, i) => `${path} = ${here[i] ?? ''}\n`).join('')}`,
    );
    for (const action of ['-I', '-B']) {
      const refused = await world.cmdStandby(standby, [action]);
      expectExit(refused, 4);
      for (const path of here) expect(refused.stderr).toContain(`cannot make directory "${path}"`);
    }
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(true);

    // What only the copy finds out.
    chmodSync(locked, 0o700);
    const folder = join(here[1] ?? '', readdirSync(locations[1] ?? '')[0] ?? '');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o500);
    const failed = await world.cmdStandby(standby, ['-B']);
    expectExit(failed, 1);
    expect(failed.stderr).toContain(`the owner of directory "${folder}" cannot write to it`);
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(true);
    chmodSync(folder, 0o700);
    expectExit(await world.cmdStandby(standby, ['-B']), 0);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
  });

  test('-B refuses a tablespace whose path here would be a directory of the primary', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const location = await makeTablespace(primary, 'fast');
    const run = await world.cmdStandby(standby, ['-I']);
    expect(run).toMatchObject({ code: 4 });
    expect(run.stderr).toContain(`"${location}" is the primary's own directory`);
    expect(run.stderr).toContain(`[tablespaces] with the line ${location} = /another/directory`);
    expect(existsSync(standby.pgdata)).toBe(false);
  });
});
