import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { expect } from 'vitest';
import { checkControlFile } from '../../src/postgres/control-file.ts';
import { formatSentinel } from '../../src/system/sentinel.ts';
import type { IniKeys } from '../harness/ini.ts';
import type { Primary } from '../harness/primary.ts';
import type { Finished } from '../harness/processes.ts';
import type { Server, ServerSettings } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';

/** A primary that archives by `cp` straight into the standby's archive, and a standby with a base backup in pgdata. */
export interface Pair {
  readonly primary: Primary;
  readonly standby: Standby;
}

export interface PairOptions {
  readonly ini?: IniKeys;
  readonly settings?: ServerSettings;
  readonly failoverSettings?: ServerSettings;
  readonly primarySettings?: ServerSettings;
  /** As initdb would have it by default, if left out. */
  readonly checksums?: boolean;
}

/** The names of the WAL of a timeline that was left which a standby moved aside. */
export function movedAside({ archiveDir }: Pick<Standby, 'archiveDir'>, timeline: number): string[] {
  const directories = readdirSync(archiveDir).filter((name) => name.startsWith(`.left-${timeline}-`));
  return directories.flatMap((name) => readdirSync(join(archiveDir, name))).sort();
}

function systemIdentifier(pgdata: string): string {
  const check = checkControlFile(readFileSync(join(pgdata, 'global', 'pg_control')));
  if (check.kind === 'bad') throw new Error(check.reason);
  return check.control.systemIdentifier;
}

export function writeSentinelFor(standby: Standby, primary: Primary): void {
  mkdirSync(standby.archiveDir, { recursive: true, mode: 0o700 });
  const text = formatSentinel({
    systemIdentifier: systemIdentifier(primary.pgdata),
    standby: standby.name,
    primaryPgdata: primary.pgdata,
    promotedAtTimeline: undefined,
    left: [],
  });
  writeFileSync(join(standby.archiveDir, '.pitrtools'), text, { mode: 0o600 });
}

/** A base backup by hand: these tests are about what comes after one. */
export async function copyBaseBackup(primary: Primary, standby: Standby): Promise<void> {
  await primary.withSession(async (client) => {
    await startBackup(client, primary.major);
    mkdirSync(standby.pgdata, { recursive: true, mode: 0o700 });
    const leftOut = ['postmaster.pid', 'postmaster.opts', 'postgresql.conf', 'pg_hba.conf'];
    cpSync(primary.pgdata, standby.pgdata, {
      recursive: true,
      filter: (path) =>
        !leftOut.some((name) => path === join(primary.pgdata, name)) &&
        !/\/pg_wal\/([0-9A-F]{24}|archive_status\/.+)$/.test(path),
    });
    writeFileSync(join(standby.pgdata, 'backup_label'), await stopBackup(client, primary.major));
  });
  rmSync(join(standby.pgdata, 'postgresql.auto.conf'), { force: true });
}

async function startBackup(client: Client, major: number): Promise<void> {
  await client.query(
    major >= 15
      ? "SELECT pg_backup_start('by hand', true)"
      : "SELECT pg_start_backup('by hand', true, false)",
  );
}

async function stopBackup(client: Client, major: number): Promise<string> {
  const result = await client.query<{ labelfile: string }>(
    major >= 15 ? 'SELECT labelfile FROM pg_backup_stop()' : 'SELECT labelfile FROM pg_stop_backup(false)',
  );
  return result.rows[0]?.labelfile ?? '';
}

export async function makePair(world: World, options: PairOptions = {}): Promise<Pair> {
  const host = await world.host('standby1');
  const archive = join(host.directory, 'archive');
  mkdirSync(archive, { mode: 0o700 });
  const primary = await world.startPrimary({
    ...(options.checksums === undefined ? {} : { checksums: options.checksums }),
    settings: {
      archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/.%f && mv ${archive}/.%f ${archive}/%f`,
      ...options.primarySettings,
    },
  });
  const standby = await world.addStandby('standby1', primary, {
    ini: { failover_probe_timeout: 3, start_timeout: 30, ...options.ini },
    ...(options.settings === undefined ? {} : { settings: options.settings }),
    ...(options.failoverSettings === undefined ? {} : { failoverSettings: options.failoverSettings }),
  });
  writeSentinelFor(standby, primary);
  await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  await copyBaseBackup(primary, standby);
  return { primary, standby };
}

/** Inserts rows up to `last`, and waits until the segment with them is in the standby's archive. */
export async function archiveRows({ primary, standby }: Pair, last: number): Promise<string> {
  await primary.sql('INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, $1::int)', [
    last,
  ]);
  const segment = await primary.switchWal();
  await standby.received(segment);
  return segment;
}

export async function countRows(server: Pick<Standby, 'value'>): Promise<number> {
  return Number(await server.value('SELECT count(*) FROM rows'));
}

/** Our slots there by which standbys stream, each with its state. */
export async function slotsOn(server: Pick<Server, 'sql'>): Promise<readonly string[]> {
  const rows = await server.sql(
    "SELECT slot_name::text || CASE WHEN active THEN ' active' ELSE '' END AS slot FROM pg_replication_slots WHERE slot_name::text LIKE 'pitrtools\\_for\\_%' ORDER BY 1",
  );
  return rows.map((row) => String(row['slot']));
}

/** A run that ended otherwise is shown whole. */
export function expectExit(run: Finished, code: number): void {
  expect(run.code, `${run.stdout}${run.stderr}`).toBe(code);
}
