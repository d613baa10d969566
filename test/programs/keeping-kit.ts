import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import type { World } from '../harness/world.ts';
import { expectExit, makePair, type Pair, type PairOptions } from './standby-kit.ts';

export const slot = 'pitrtools_keep';

/** The place of a segment, whatever its timeline. */
export const placeOf = (name: string) => name.slice(8);

export async function makeStreamingPair(world: World, options: PairOptions = {}): Promise<Pair> {
  return makePair(world, {
    ...options,
    ini: { use_streaming_replication: 'on', repl_db_user: world.user, ...options.ini },
    settings: { min_wal_size: '32MB', ...options.settings },
  });
}

export async function startStreaming(world: World, pair: Pair, args = ['-S']): Promise<string> {
  const started = await world.cmdStandby(pair.standby, args);
  expectExit(started, 0);
  return started.stderr;
}

/** Its archive_command fails from now on, or works again. */
export async function breakArchiving({ primary }: Pair, isBroken: boolean): Promise<void> {
  if (isBroken) await primary.sql("ALTER SYSTEM SET archive_command = 'false'");
  else await primary.sql('ALTER SYSTEM RESET archive_command');
  await primary.reload();
}

/** A checkpoint of the primary, replayed here, and the restartpoint that it allows. */
export async function restartpoint({ primary, standby }: Pair): Promise<void> {
  await primary.sql('CHECKPOINT');
  const end = await primary.value('SELECT pg_current_wal_lsn()');
  await replayed(standby, end);
  await standby.sql('CHECKPOINT');
}

async function replayed(standby: Pair['standby'], lsn: string): Promise<void> {
  await eventually(async () => {
    const past = await standby.value('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn', [lsn]);
    return past === 'true';
  });
}

/** Segments full of rows, streamed and replayed. */
export async function stream(pair: Pair, count: number): Promise<string[]> {
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    await pair.primary.sql(
      'INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, (SELECT count(*) FROM rows) + 10)',
    );
    names.push(await pair.primary.switchWal());
  }
  await replayed(pair.standby, await pair.primary.value('SELECT pg_current_wal_lsn()'));
  return names;
}

/** Ten segments that the primary never archives, with two restartpoints between them. Returns their names. */
export async function streamTen(world: World, pair: Pair): Promise<string[]> {
  await startStreaming(world, pair);
  await breakArchiving(pair, true);
  const first = await stream(pair, 5);
  await restartpoint(pair);
  const second = await stream(pair, 5);
  await restartpoint(pair);
  return [...first, ...second];
}

export function inPgWal({ standby }: Pair): string[] {
  return readdirSync(join(standby.pgdata, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
}

export function critical(host: Host) {
  return host.notifications().filter(({ severity }) => severity === 'critical');
}

export async function slotSegment({ standby }: Pair): Promise<string> {
  const [row] = await standby.sql(
    'SELECT restart_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  if (row === undefined) return 'no slot';
  const [high = '0', low = '0'] = String(row['lsn']).split('/');
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(Number.parseInt(high, 16))}${hex(Math.floor(Number.parseInt(low, 16) / (16 * 1024 * 1024)))}`;
}
