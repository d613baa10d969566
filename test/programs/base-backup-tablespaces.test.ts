import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { createWorld, type World } from '../harness/world.ts';
import { backupPair, inPgdata, isCopying } from './backup-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

async function makeTablespace(primary: Primary, name: string): Promise<string> {
  const location = join(primary.host.directory, 'spaces', name);
  mkdirSync(location, { recursive: true });
  await primary.sql(`CREATE TABLESPACE "${name}" LOCATION '${location}'`);
  await primary.sql(`CREATE TABLE "in ${name}" TABLESPACE "${name}" AS SELECT generate_series(1, 5000) AS n`);
  return location;
}

const megabyte = 1024 * 1024;

describe.each(failureMajors())('tablespaces on PostgreSQL %i', (major) => {
  test('a base backup with a tablespace crashes: two of them, a file that vanishes, pgdata elsewhere', async () => {
    world = await createWorld({ major });
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

  test("a tablespace that would land in the primary's own directory is refused", async () => {
    world = await createWorld({ major });
    const { primary, standby } = await backupPair(world);
    const location = await makeTablespace(primary, 'fast');
    const run = await world.cmdStandby(standby, ['-I']);
    expect(run).toMatchObject({ code: 4 });
    expect(run.stderr).toContain(`"${location}" is the primary's own directory`);
    expect(run.stderr).toContain(`[tablespaces] with the line ${location} = /another/directory`);
    expect(existsSync(standby.pgdata)).toBe(false);
  });
});
