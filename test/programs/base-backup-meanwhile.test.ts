import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import type { Finished } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import { allShipped, type BackupPair, backupPair, inPgdata } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

/** Runs `-B`, and does this when all that can be refused has been looked at and nothing has begun yet. */
async function backupWhile(
  here: World,
  { primary, standby }: BackupPair,
  happens: () => Promise<unknown>,
): Promise<Finished> {
  await allShipped(primary);
  // It waits for a segment that is not shipped for as long.
  primary.writeIni({ state: 'offline' });
  const running = here.startStandby(standby, ['-B']);
  await eventually(() => running.output().includes('DEBUG: prove that WAL arrives'));
  await happens();
  primary.writeIni({ state: 'online' });
  return running.finished;
}

describe.each(failureMajors())('changes on the hosts while -B prepares, on PostgreSQL %i', (major) => {
  test.override({ major });

  test('-B is refused if a server is started here, and that server keeps running', async ({ world }) => {
    const pair = await backupPair(world);
    const { primary, standby } = pair;
    for (const action of ['-I', '-B', '-S', '-Astop'])
      expectExit(await world.cmdStandby(standby, [action]), 0);
    const run = await backupWhile(world, pair, () => standby.start());
    expectExit(run, 4);
    expect(run.stderr).toContain(`PostgreSQL runs here on "${standby.pgdata}"`);
    expect(existsSync(inPgdata(standby, 'global', 'pg_control'))).toBe(true);
    await primary.sql('CREATE TABLE late (n int)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value("SELECT to_regclass('late')")) === 'late');
  });

  test('-B ends if a tablespace is made on the primary, and the next -B copies it', async ({ world }) => {
    const pair = await backupPair(world);
    const { primary, standby } = pair;
    const [theirs, ours] = [primary, standby].map(({ host }) => join(host.directory, 'space'));
    mkdirSync(theirs ?? '');
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${theirs ?? ''} = ${ours ?? ''}\n`);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    const run = await backupWhile(world, pair, async () => {
      await primary.sql(`CREATE TABLESPACE fast LOCATION '${theirs ?? ''}'`);
      await primary.sql('CREATE TABLE placed TABLESPACE fast AS SELECT generate_series(1, 100) AS n');
    });
    expectExit(run, 1);
    expect(run.stderr).toContain('tablespace "fast" was made or moved meanwhile: run -B again');
    expect(existsSync(inPgdata(standby, 'PG_VERSION'))).toBe(false);
    for (const action of ['-B', '-S']) expectExit(await world.cmdStandby(standby, [action]), 0);
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await standby.value('SELECT count(*) FROM placed')) === '100');
  });
});
