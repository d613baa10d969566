import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { clientProgram } from '../../../test/harness/postgres-programs.ts';
import type { Primary } from '../../../test/harness/primary.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { type Finished, killAll, mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { createWorld, type World } from '../../../test/harness/world.ts';
import { allShipped, installHelpers } from '../../../test/programs/backup-kit.ts';
import { touchMemory } from './measure.ts';
import type { Ground } from './site.ts';

/** A primary that archives into the archivedir of a standby which has no copy yet. */
export interface BackupSite extends Ground {
  readonly standby: Standby;
}

export function mustSucceed({ code, stdout, stderr }: Finished): void {
  if (code !== 0) throw new Error(`the program exited ${String(code)}: ${stdout}${stderr}`);
}

export async function withBackupSite<T>(
  major: number,
  load: (primary: Primary) => Promise<void>,
  use: (site: BackupSite) => Promise<T>,
): Promise<T> {
  const world = await createWorld({ major });
  try {
    const site = await setUp(world);
    await load(site.primary);
    await settle(site, 0);
    return await use(site);
  } finally {
    const isLasting = /\[listener\]|sshd_config|bin\/postgres -D|^postgres: /;
    killAll(processesOf(world.directory).filter(({ commandLine }) => !isLasting.test(commandLine)));
    await world.close();
  }
}

async function setUp(world: World): Promise<BackupSite> {
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    ini: { debug: 'off' },
    // Autovacuum would write to files that a measured change has not touched.
    settings: { max_wal_size: '8GB', checkpoint_timeout: '1h', shared_buffers: '128MB', autovacuum: 'off' },
  });
  const standby = await world.addStandby('standby1', primary, { ini: { debug: 'off' } });
  mkdirSync(standby.archiveDir, { recursive: true, mode: 0o700 });
  mustSucceed(await world.cmdArchiver(primary, ['-I']));
  await installHelpers(primary);
  mustSucceed(await world.cmdStandby(standby, ['-I']));
  return { world, primary, standby, standbys: [standby] };
}

/** -B reads files again that were written shortly before the last backup began: their times prove nothing. */
const longAgoMs = 4_000;

/**
 * Pending writes and WAL on its way must not distort the measurement.
 *
 * @param copyMegabytes how much the next run will write; touching more would push the primary's files out of memory
 */
export async function settle({ world, primary }: BackupSite, copyMegabytes: number): Promise<void> {
  await primary.sql('CHECKPOINT');
  await delay(longAgoMs);
  await primary.switchWal();
  await allShipped(primary);
  await mustRun('sync', ['-f', world.directory], { limitMs: 600_000 });
  await touchMemory(world.directory, copyMegabytes + 500);
}

function place({ socketDirectory, port, user }: Primary): string[] {
  return ['-h', socketDirectory, '-p', String(port), '-U', user, 'postgres'];
}

/**
 * About 16 MB per unit of scale, most of it in as many tables of equal size as there are `parts`. A changed row finds space
 * in its own page; otherwise each change would also change an index page.
 */
export async function fillByPgbench(primary: Primary, scale: number, parts = 0): Promise<void> {
  const size = ['-F', '90', '-s', String(scale), `--partitions=${String(parts)}`];
  await mustRun(clientProgram('pgbench'), ['-q', '-i', ...size, ...place(primary)], {
    env: primary.env,
    limitMs: 900_000,
  });
}

/** Changes a row in each page of this table whose number leaves the rest `first` when it is divided by `step`. */
async function changePages(primary: Primary, table: string, step: number, first: number): Promise<void> {
  // Where the table has parts, the row is changed in each of them.
  await primary.sql(
    `UPDATE ${table} SET abalance = abalance + 1 WHERE ctid = ANY (ARRAY(
       SELECT format('(%s,%s)', n, 1 + $1::int % 50)::tid FROM generate_series($1::int % ${String(step)}, (
         SELECT max(pg_relation_size(oid)) / current_setting('block_size')::int - 1 FROM pg_class
         WHERE relname LIKE 'pgbench\\_accounts%' AND relkind = 'r')::int, ${String(step)}) AS n))`,
    [first],
  );
}

/** Writes to every hundredth page of the large tables, and to other pages each time. */
export async function changeOnePercent(primary: Primary, round: number): Promise<void> {
  await changePages(primary, 'pgbench_accounts', 100, round);
}

/** Writes to every page of one of the large tables: another one each time. */
export async function changeOneTable(primary: Primary, parts: number, round: number): Promise<void> {
  await changePages(primary, `pgbench_accounts_${String(1 + (round % parts))}`, 1, round);
}

/** Makes tables of one page, in transactions that do not need too many locks. */
export async function makeTables(primary: Primary, count: number): Promise<void> {
  const atOnce = 500;
  for (let from = 1; from <= count; from += atOnce) {
    const to = Math.min(count, from + atOnce - 1);
    await primary.sql(
      `DO $$ BEGIN FOR i IN ${String(from)}..${String(to)} LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS n', i, i); END LOOP; END $$`,
    );
  }
}

/** Makes files that no process reads: only their number matters. */
export function makeFiles(primary: Primary, count: number): void {
  for (let number = 0; number < count; number += 1)
    writeFileSync(join(primary.pgdata, 'base', '1', String(5_000_000 + number)), 'x');
}
