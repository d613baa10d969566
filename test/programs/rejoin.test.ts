import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { moveIn, notePhase } from '../../src/standby/rejoin/rewind-directory.ts';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { clientProgram, debianMajor, failureMajors } from '../harness/postgres-programs.ts';
import type { Standby } from '../harness/standby.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  addressOf,
  addRows,
  hasRows,
  makeThree,
  streams,
  type Three,
  type ThreeOptions,
} from './follow-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** What makes the WAL that is only on the former primary: its heir is promoted while it lives. */
async function diverge(world: World, options: ThreeOptions): Promise<Three> {
  const three = await makeThree(world, options);
  const { primary, heir } = three;
  await addRows(primary, 100);
  await hasRows(heir, 100);
  expectExit(await world.cmdStandby(heir, ['-F999', '--force']), 0);
  await primary.sql('INSERT INTO rows SELECT generate_series(1001, 1100)');
  await primary.sql('CREATE TABLE only_here (id int)');
  await addRows(heir, 200);
  return three;
}

/** On the new primary, for -B. */
async function installHelpers(world: World, heir: Standby): Promise<void> {
  const { helperSqlFile } = capabilitiesOf(parseVersion(String(world.major)));
  await (await world.asPrimary(heir, ['primary'])).psqlFile(checkout('scripts', helperSqlFile));
}

const streaming: ThreeOptions = { heir: streams, former: streams };

describe.each(failureMajors())('a former primary on PostgreSQL %i', (major) => {
  test.override({ major });

  test('that stopped behind the fork rejoins as it is, also after a crash', async ({ world }) => {
    const { primary, heir, former } = await makeThree(world, streaming);
    await addRows(primary, 100);
    await hasRows(heir, 100);
    const running = await world.cmdStandby(former, ['--rejoin', addressOf(heir)]);
    expectExit(running, 4);
    expect(running.stderr).toContain('is in production');
    await primary.kill9();
    expectExit(await world.cmdStandby(heir, ['-F999']), 0);
    await addRows(heir, 200);
    // It was never a standby.
    rmSync(former.archiveDir, { recursive: true });

    const plan = await world.cmdStandby(former, ['--rejoin', addressOf(heir), '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(/^Way: nothing is copied, because the history of \S+ contains all WAL/m);
    expect(existsSync(former.archiveDir)).toBe(false);

    // As if a checkpoint had removed it: a copy of it is nowhere else.
    const gone = await heir.switchWal();
    const path = join(heir.pgdata, capabilitiesOf(parseVersion(String(major))).walDirName, gone);
    renameSync(path, join(heir.host.directory, gone));
    const lacking = await world.cmdStandby(former, ['--rejoin', addressOf(heir), '--dry-run']);
    expectExit(lacking, 0);
    expect(lacking.stdout).toMatch(
      new RegExp(`^Way: a base backup of \\S+ \\(-B\\), because WAL that .* is neither on .*: ${gone};`, 'm'),
    );
    renameSync(join(heir.host.directory, gone), path);
    const run = await world.cmdStandby(former, ['--rejoin', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Follows \S+: streams from it, timeline 2/m);
    await hasRows(former, 200);
    expect(await former.inRecovery()).toBe(true);
    // Once more: it follows already.
    expectExit(await world.cmdStandby(former, ['--rejoin', addressOf(heir)]), 0);
  });
});

describe('a former primary with WAL that is only there', () => {
  test.override({ major: debianMajor() });

  test('rejoins by pg_rewind, and its WAL is kept on the new primary', async ({ world }) => {
    const { primary, heir, former } = await diverge(world, {
      ...streaming,
      primary: {
        checksums: true,
        settings: { wal_level: 'logical', max_prepared_transactions: 5, max_replication_slots: 12 },
      },
      settings: { max_prepared_transactions: 5 },
    });
    // The recovery before pg_rewind must bear them, too.
    await primary.sql("SELECT pg_create_logical_replication_slot('changes', 'test_decoding')");
    for (let number = 0; number < 10; number++)
      await primary.sql(`SELECT pg_create_physical_replication_slot('slot${number}')`);
    await primary.sql("BEGIN; INSERT INTO rows VALUES (5000); PREPARE TRANSACTION 'one'");
    // Perhaps into nothing but a queue.
    const archived = await primary.switchWal();
    await primary.archived(archived);
    primary.configure({ archive_command: 'false' });
    await primary.reload();
    const unsent = await primary.switchWal();
    await primary.sql('INSERT INTO rows SELECT generate_series(1101, 1110)');
    // A crash: pg_rewind recovers the server first.
    await primary.kill9();

    const plan = await world.cmdStandby(former, ['--rejoin', addressOf(heir), '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(/^Way: pg_rewind from \S+, because its timeline 2 left timeline 1 at/m);
    expect(plan.stdout).toMatch(
      /^Only here: \d+ bytes of WAL after LSN \S+, with \d committed transactions, the last at/m,
    );
    expect(plan.stdout).toMatch(/^2\. offer \d+ WAL files to the archive of/m);

    // Another former primary has left a file of that name.
    mkdirSync(join(heir.archiveDir, '.diverged-1'));
    writeFileSync(join(heir.archiveDir, '.diverged-1', unsent), 'other');

    // Killed when the files are in their place again, and no server runs yet.
    const trace = join(former.host.directory, 'starting');
    former.writeIni({ start_command: writeScript(former.host, 'start', `touch '${trace}'; sleep 60`) });
    const first = world.startStandby(former, ['--rejoin', addressOf(heir)]);
    await eventually(() => existsSync(trace), { limitMs: 120_000 });
    first.killFamily();
    const { stdout } = await first.finished;
    expect(stdout).toMatch(/^Way: pg_rewind from/m);
    former.writeIni({ start_command: undefined });
    // And as if it was killed just before.
    await moveIn(former.pgdata);
    await notePhase(former.pgdata, 'rewound');

    const run = await world.cmdStandby(former, ['--rejoin', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stderr).toContain('an interrupted pg_rewind had succeeded');
    expect(run.stdout).toMatch(/^Follows \S+: streams from it, timeline 2/m);
    const kept = readdirSync(join(heir.archiveDir, '.diverged-1'));
    expect(kept).toContain(`${unsent}.2`);
    expect(kept).toContain(archived);
    expect(readFileSync(join(heir.archiveDir, '.diverged-1', unsent), 'utf8')).toBe('other');
    expect(kept.filter((name) => name.startsWith('.'))).toEqual([]);
    expect(kept.filter((name) => name.endsWith('.partial'))).toHaveLength(1);
    await hasRows(former, 200);
    expect(await former.value("SELECT to_regclass('only_here') IS NULL")).toBe('true');
    expect(existsSync(join(former.pgdata, 'pitrtools-rewinding'))).toBe(false);
    // Its own configuration, not that of the other host.
    expect(readFileSync(join(former.pgdata, 'postgresql.conf'), 'utf8')).toContain(`port = '${former.port}'`);
    await addRows(heir, 300);
    await hasRows(former, 300);
  });

  test('rejoins by a base backup where pg_rewind cannot', async ({ world }) => {
    const { primary, heir, former } = await diverge(world, { ...streaming, primary: { checksums: false } });
    await installHelpers(world, heir);
    await primary.stop('fast');
    const plan = await world.cmdStandby(former, ['--rejoin', addressOf(heir), '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toMatch(
      /^Way: a base backup of \S+ \(-B\), because .*; no pg_rewind: the cluster has neither data checksums nor wal_log_hints/m,
    );
    const run = await world.cmdStandby(former, ['--rejoin', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Follows \S+: streams from it, timeline 2/m);
    await hasRows(former, 200);
    expect(await countRows(heir)).toBe(200);
  });

  test('and --rejoin is killed while pg_rewind works: nothing starts, and the next call ends well', async ({
    world,
  }) => {
    const folder = join(world.directory, 'fake');
    const begun = join(folder, 'begun');
    const { primary, heir, former } = await diverge(world, {
      heir: streams,
      former: { ...streams, includepath: folder },
      primary: { checksums: true },
    });
    await installHelpers(world, heir);
    await primary.stop('fast');
    mkdirSync(folder);
    const real = clientProgram('pg_rewind');
    const body = `#!/bin/sh\n[ "$1" = --version ] && exec '${real}' --version\ntouch '${begun}'\nexec sleep 60\n`;
    writeFileSync(join(folder, 'pg_rewind'), body, { mode: 0o700 });
    const killed = world.startStandby(former, ['--rejoin', addressOf(heir)]);
    const early = killed.finished.then((run) => {
      expectExit(run, -1);
    });
    await Promise.race([early, eventually(() => existsSync(begun), { limitMs: 120_000 })]);
    early.catch(() => undefined);
    killed.killFamily();
    await killed.finished;

    const start = await world.cmdStandby(former, ['-S']);
    expectExit(start, 4);
    expect(start.stderr).toContain('pg_rewind was interrupted in');
    await expect(former.start()).rejects.toThrow();
    const plan = await world.cmdStandby(former, ['--rejoin', addressOf(heir), '--dry-run']);
    expectExit(plan, 0);
    expect(plan.stdout).toContain('may have left files half changed');

    const run = await world.cmdStandby(former, ['--rejoin', addressOf(heir)]);
    expectExit(run, 0);
    expect(run.stdout).toMatch(/^Way: a base backup of \S+ \(-B\), because the files here are incomplete/m);
    await hasRows(former, 200);
    expect(existsSync(join(former.pgdata, 'pitrtools-rewinding'))).toBe(false);
  });
});
