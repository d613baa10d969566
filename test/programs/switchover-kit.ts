import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { checkControlFile, type ClusterState } from '../../src/postgres/control-file.ts';
import { eventually } from '../harness/eventually.ts';
import type { IniKeys } from '../harness/ini.ts';
import { archivingSettings, type Primary, type PrimaryOptions } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { makeStandby } from './matrix-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/** A primary and its standby, each with both INI files, so that they can change roles. */
export interface Duo {
  readonly old: Primary;
  /** The same server as a standby: its cmd_standby.ini. */
  readonly oldAsStandby: Standby;
  readonly heir: Standby;
  readonly heirAsPrimary: Primary;
  /** Another standby, if one was wanted. */
  readonly other: Standby | undefined;
}

export interface DuoOptions {
  readonly streams: boolean;
  readonly ofHeir?: IniKeys;
  readonly ofOld?: IniKeys;
  /** Makes another standby, with these keys. */
  readonly ofOther?: IniKeys;
  readonly cluster?: Pick<PrimaryOptions, 'checksums'>;
}

/** Its server keeps the configuration in pgdata, whatever its role. */
export const ownConfiguration: IniKeys = {
  pg_conf: undefined,
  pg_hba_conf: undefined,
  pg_conf_failover: undefined,
  pg_hba_conf_failover: undefined,
};

export async function makeDuo(
  world: World,
  { streams, ofHeir = {}, ofOld = {}, ofOther, cluster }: DuoOptions,
): Promise<Duo> {
  const others = ofOther === undefined ? [] : ['other'];
  const old = await world.startPrimary({ name: 'old', slaves: ['heir', ...others], ...cluster });
  await old.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await installHelpers(old);
  const host = await world.host('heir');
  const use_streaming_replication = streams ? 'on' : 'no';
  const common = { use_streaming_replication, start_timeout: 30, failover_probe_timeout: 3, wal_timeout: 60 };
  const heir = await world.addStandby('heir', old, {
    settings: archivingSettings(host),
    ini: {
      ...common,
      public_ip: host.address,
      peer_ini: join(old.host.directory, 'etc', 'cmd_standby.ini'),
      ...ofHeir,
    },
  });
  expectExit(await world.cmdArchiver(old, ['-I']), 0);
  await makeStandby(world, heir);
  const other = ofOther === undefined ? undefined : await addOther(world, old, { ...common, ...ofOther });
  const heirAsPrimary = await world.asPrimary(heir, ['old', ...others]);
  const oldAsStandby = await world.addStandby('old', heirAsPrimary, {
    pgdata: old.pgdata,
    ini: {
      ...common,
      ...ownConfiguration,
      public_ip: old.host.address,
      peer_ini: heir.iniFile,
      master_public_ip: old.host.address,
      port: old.port,
      ...ofOld,
    },
  });
  return { old, oldAsStandby, heir, heirAsPrimary, other };
}

/** It may become the primary, too. */
async function addOther(world: World, old: Primary, keys: IniKeys): Promise<Standby> {
  const host = await world.host('other');
  const other = await world.addStandby('other', old, {
    settings: archivingSettings(host),
    ini: {
      public_ip: host.address,
      peer_ini: join(old.host.directory, 'etc', 'cmd_standby.ini'),
      ...keys,
    },
  });
  await makeStandby(world, other);
  await world.asPrimary(other, ['old', 'heir']);
  return other;
}

type Side = Pick<Primary, 'value' | 'sql' | 'log'>;

async function takesWrites(server: Side): Promise<boolean> {
  return isPrimary(server).catch(() => false);
}

/** Watches whether two servers take writes at the same time, until it is stopped. */
export function watchPrimaries(servers: readonly Side[]): { stop(): Promise<number> } {
  const state = { isOver: false, seen: 0 };
  const pairs = servers.flatMap((one, index) =>
    servers.slice(index + 1).map((other) => [one, other] as const),
  );
  const looks = (async () => {
    while (!state.isOver) {
      for (const [one, other] of pairs) {
        // The other one was the primary between two moments at which the first one was.
        if ((await takesWrites(one)) && (await takesWrites(other)) && (await takesWrites(one)))
          state.seen += 1;
      }
      await delay(20);
    }
  })();
  return {
    stop: async () => {
      state.isOver = true;
      await looks;
      return state.seen;
    },
  };
}

export async function insertRows(server: Pick<Primary, 'sql'>, count: number): Promise<void> {
  await server.sql('INSERT INTO rows SELECT FROM generate_series(1, $1::int)', [count]);
}

export async function hasRows(server: Pick<Primary, 'value' | 'log'>, count: number): Promise<void> {
  await eventually(async () => (await countRows(server).catch(() => -1)) === count, {
    limitMs: 120_000,
    what: `${count} rows; server log ${server.log}`,
  });
}

export async function isPrimary(server: Pick<Primary, 'value'>): Promise<boolean> {
  return (await server.value('SELECT pg_is_in_recovery()')) === 'false';
}

/** The state in pg_control. */
export function stateOf({ pgdata }: Pick<Primary, 'pgdata'>): ClusterState {
  const check = checkControlFile(readFileSync(join(pgdata, 'global', 'pg_control')));
  if (check.kind === 'bad') throw new Error(check.reason);
  return check.control.state;
}

/** The segment of timeline 1 that contains this location. */
export function segmentAt(lsn: string): string {
  const [high = 0, low = 0] = lsn.split('/').map((half) => Number.parseInt(half, 16));
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(1)}${hex(high)}${hex(low >>> 24)}`;
}

export async function appears(path: string): Promise<void> {
  await eventually(() => existsSync(path), { limitMs: 120_000, what: path });
}

export function record({ pgdata }: Pick<Primary, 'pgdata'>): Readonly<Record<string, unknown>> {
  const path = join(pgdata, 'pitrtools.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>) : {};
}

/** What must hold after every switchover that is finished. */
export async function expectTurned({ old, heir, heirAsPrimary }: Duo, rows: number): Promise<void> {
  expect(await isPrimary(heir)).toBe(true);
  expect(await countRows(heir)).toBe(rows);
  expect(record(heir)['switchover']).toBeUndefined();
  expect(await isPrimary(old)).toBe(false);
  await insertRows(heir, 5);
  await heirAsPrimary.switchWal();
  await hasRows(old, rows + 5);
}
