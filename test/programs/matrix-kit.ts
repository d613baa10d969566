import { appendFileSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** `-I`, `-B`, `-S`: what the how-to has for every standby. `flags` go with the first two. */
export async function makeStandby(
  world: World,
  standby: Standby,
  flags: readonly string[] = [],
): Promise<void> {
  for (const action of ['-I', '-B']) expectExit(await world.cmdStandby(standby, [action, ...flags]), 0);
  expectExit(await world.cmdStandby(standby, ['-S']), 0);
}

/** A standby whose server ships by the cmd_archiver.ini of its host as soon as it is promoted. */
export async function addHeir(
  world: World,
  name: string,
  primary: Primary,
  archivesSince: 'promotion' | 'failover configuration',
): Promise<Standby> {
  const archiving = archivingSettings(await world.host(name));
  return world.addStandby(name, primary, {
    ini: { use_streaming_replication: 'on', wal_timeout: 60, failover_probe_timeout: 2 },
    ...(archivesSince === 'promotion' ? { settings: archiving } : { failoverSettings: archiving }),
  });
}

/** Kills the primary's machine and makes the heir the primary of `slaves`. */
export async function failOver(
  world: World,
  dead: Pick<Primary, 'kill9'>,
  heir: Standby,
  slaves: readonly string[],
): Promise<Primary> {
  const primary = await world.asPrimary(heir, slaves);
  await dead.kill9();
  expectExit(await world.cmdStandby(heir, ['-F999']), 0);
  expectExit(await world.cmdArchiver(primary, ['-I']), 0);
  return primary;
}

/** From now on this standby's base backup and failover look at that primary. */
export function turnTo(standby: Standby, primary: Primary): void {
  standby.writeIni({ master_public_ip: primary.host.address, port: primary.port });
}

export async function addRows(server: Pick<Primary, 'sql'>, count: number): Promise<void> {
  await server.sql('INSERT INTO rows SELECT FROM generate_series(1, $1::int)', [count]);
}

export async function hasRows(standby: Standby, count: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === count, {
    limitMs: 120_000,
    what: `${count} rows on ${standby.name}; server log ${standby.log}`,
  });
}

/** Rows that were archived, and as many that were only streamed: a promotion now falls into the middle of a segment. */
export async function addBoth(primary: Primary, received: readonly Standby[], count: number): Promise<void> {
  await addRows(primary, count);
  const segment = await primary.switchWal();
  for (const standby of received) await standby.received(segment);
  await addRows(primary, count);
}

export async function timelineOf(server: Pick<Primary, 'value'>): Promise<number> {
  const name = await server.value('SELECT pg_walfile_name(pg_current_wal_lsn())');
  return Number.parseInt(name.slice(0, 8), 16);
}

/** The timelines of which the archive holds segments. */
export function timelinesIn(archive: readonly string[]): number[] {
  const segments = archive.filter((name) => /^[0-9A-F]{24}$/.test(name));
  return [...new Set(segments.map((name) => Number.parseInt(name.slice(0, 8), 16)))].sort();
}

/** Puts a server's own segments of a timeline into an archive, as if they had been shipped there. */
export function leaveIn(archiveDir: string, pgdata: string, names: readonly string[]): void {
  mkdirSync(archiveDir, { recursive: true, mode: 0o700 });
  for (const name of names) cpSync(join(pgdata, 'pg_wal', name), join(archiveDir, name));
}

export function appendIni(standby: Standby, text: string): void {
  appendFileSync(standby.iniFile, text);
}
