import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { archiveRows, expectExit, makePair, type Pair, type PairOptions } from './standby-kit.ts';

export async function timelineOf(server: Standby): Promise<number> {
  return Number(
    await server.value("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"),
  );
}

export function leftOver(standby: Standby): string[] {
  return ['standby.signal', 'recovery.signal', 'recovery.conf'].filter((name) =>
    existsSync(join(standby.pgdata, name)),
  );
}

export function sentinelText(standby: Standby): string {
  return readFileSync(join(standby.archiveDir, '.pitrtools'), 'utf8');
}

/** A standby that runs and has `rows` rows in its archive. */
export async function startedPair(world: World, rows: number, options: PairOptions = {}): Promise<Pair> {
  const pair = await makePair(world, options);
  expectExit(await world.cmdStandby(pair.standby, ['-S']), 0);
  await archiveRows(pair, rows);
  return pair;
}
