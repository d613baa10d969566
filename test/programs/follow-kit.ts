import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import type { Primary, PrimaryOptions } from '../harness/primary.ts';
import type { Server, ServerSettings } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { copyBaseBackup, countRows, expectExit, writeSentinelFor } from './standby-kit.ts';

/** A primary and two standbys; each of the three archives into the archives of the other two once it is the primary. */
export interface Three {
  readonly primary: Primary;
  readonly heir: Standby;
  readonly other: Standby;
  /** The host of the primary as the standby that it may become; nothing of it is written but its INI file. */
  readonly former: Standby;
}

export interface ThreeOptions {
  readonly heir?: IniKeys;
  readonly other?: IniKeys;
  readonly former?: IniKeys;
  readonly primary?: PrimaryOptions;
  /** Of the standbys. */
  readonly settings?: ServerSettings;
}

export const streams: IniKeys = { use_streaming_replication: 'on' };

/** archive_command that copies to these directories, never over another file. */
async function shipScript(world: World, host: string, directories: readonly string[]): Promise<string> {
  return writeScript(
    await world.host(host),
    'ship',
    `for to in ${directories.map((each) => `'${each}'`).join(' ')}; do
  [ -e "$to/$2" ] || { cp "$1" "$to/.$2" && mv "$to/.$2" "$to/$2"; } || exit 1
done`,
  );
}

export async function makeThree(world: World, options: ThreeOptions = {}): Promise<Three> {
  const names = ['primary', 'heir', 'other'] as const;
  const archives = new Map<string, string>();
  for (const name of names) {
    const host = await world.host(name);
    mkdirSync(host.archiveDir, { mode: 0o700 });
    archives.set(name, host.archiveDir);
  }
  const archiving = async (name: string) => {
    const others = [...archives].filter(([each]) => each !== name).map(([, directory]) => directory);
    return {
      archive_mode: true,
      archive_command: `${await shipScript(world, name, others)} %p %f`,
    };
  };
  const hostOf = async (name: string) => ({ host: (await world.host(name)).address });
  const primary = await world.startPrimary({
    slaves: ['heir', 'other'],
    sections: { heir: await hostOf('heir'), other: await hostOf('other') },
    ...options.primary,
    settings: { ...(await archiving('primary')), ...options.primary?.settings },
  });
  await primary.sql('CREATE TABLE rows (id int PRIMARY KEY)');
  const make = async (name: (typeof names)[number], keys: IniKeys = {}, pgdata?: string) => {
    const ini = { failover_probe_timeout: 5, start_timeout: 60, wal_timeout: 30, ...keys };
    const standby = await world.addStandby(name, primary, {
      ini,
      failoverSettings: await archiving(name),
      ...(options.settings === undefined ? {} : { settings: options.settings }),
      ...(pgdata === undefined ? {} : { pgdata }),
    });
    writeSentinelFor(standby, primary);
    return standby;
  };
  const heir = await make('heir', options.heir);
  const other = await make('other', options.other);
  for (const standby of [heir, other]) await copyBaseBackup(primary, standby);
  const former = await make('primary', options.former, primary.pgdata);
  for (const standby of [heir, other]) expectExit(await world.cmdStandby(standby, ['-S']), 0);
  return { primary, heir, other, former };
}

/** As `--follow` takes it: on one machine every server has a port of its own. */
export function addressOf({ host, port }: Pick<Standby, 'host' | 'port'>): string {
  return `${host.address}:${port}`;
}

export async function addRows(server: Pick<Server, 'sql'>, last: number): Promise<void> {
  await server.sql('INSERT INTO rows SELECT generate_series((SELECT count(*) FROM rows) + 1, $1::int)', [
    last,
  ]);
}

export async function hasRows(standby: Standby, count: number): Promise<void> {
  await eventually(async () => (await countRows(standby)) === count, {
    limitMs: 120_000,
    what: `${count} rows on ${standby.name}`,
  });
}

export function iniOf(standby: Standby): string {
  return join(standby.host.directory, 'etc', 'cmd_standby.ini');
}
