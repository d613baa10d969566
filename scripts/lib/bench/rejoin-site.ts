import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { eventually } from '../../../test/harness/eventually.ts';
import { archivingSettings, type Primary } from '../../../test/harness/primary.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { killAll, mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { createWorld, type World } from '../../../test/harness/world.ts';
import { installHelpers } from '../../../test/programs/backup-kit.ts';
import { changeOnePercent, fillByPgbench, mustSucceed } from './base-backup-site.ts';
import { touchMemory } from './measure.ts';

/** A primary that has crashed, with changes that its heir, the primary since, does not have. */
export interface RejoinSite {
  readonly world: World;
  readonly former: Standby;
  readonly heir: Primary;
  /** Size of its databases. */
  readonly bytes: number;
  /**
   * Both hosts as the crash left them.
   *
   * @param isCold whether none of the former primary's files are in memory, because its host has crashed as well
   */
  restore(isCold: boolean): Promise<void>;
  /** Leaves nothing of its data directory but its configuration. */
  empty(): void;
  /** Whether `--rejoin` finds pg_rewind. */
  offerRewind(isThere: boolean): void;
}

const settings = { max_wal_size: '1GB', checkpoint_timeout: '1h', shared_buffers: '128MB' };
const ini = { debug: 'off', use_streaming_replication: 'on' };
/** Their servers keep the configuration in pgdata, whatever their role. */
const ownConfiguration = {
  pg_conf: undefined,
  pg_hba_conf: undefined,
  pg_conf_failover: undefined,
  pg_hba_conf_failover: undefined,
};
const limitMs = 600_000;

export async function withRejoinSite<T>(
  major: number,
  scale: number,
  use: (site: RejoinSite) => Promise<T>,
): Promise<T> {
  const world = await createWorld({ major });
  try {
    return await use(await setUp(world, scale));
  } finally {
    endPrograms(world);
    await world.close();
  }
}

/** All that runs but the servers and the sshds. */
function endPrograms(world: World): void {
  const isLasting = /\[listener\]|sshd_config|bin\/postgres -D|^postgres: /;
  killAll(processesOf(world.directory).filter(({ commandLine }) => !isLasting.test(commandLine)));
}

async function makeHeir(world: World, primary: Primary): Promise<{ standby: Standby; heir: Primary }> {
  const host = await world.host('heir');
  mkdirSync(host.archiveDir, { recursive: true, mode: 0o700 });
  mustSucceed(await world.cmdArchiver(primary, ['-I']));
  const standby = await world.addStandby('heir', primary, {
    ini,
    settings: { ...settings, ...archivingSettings(host) },
  });
  for (const action of ['-I', '-B', '-S'])
    mustSucceed(await world.cmdStandby(standby, [action], { limitMs }));
  return { standby, heir: await world.asPrimary(standby, ['former']) };
}

/** What the heir was not sent: after its promotion, one percent of the pages change on the old primary. */
async function diverge(world: World, primary: Primary, standby: Standby): Promise<void> {
  await primary.sql('CHECKPOINT');
  const end = await primary.value('SELECT pg_current_wal_lsn()');
  await eventually(
    async () => (await standby.value(`SELECT pg_last_wal_replay_lsn() >= '${end}'::pg_lsn`)) === 'true',
    { limitMs },
  );
  mustSucceed(await world.cmdStandby(standby, ['-F999', '--force']));
  await changeOnePercent(primary, 1);
  await standby.sql('UPDATE pgbench_accounts SET abalance = 7 WHERE aid <= 1000');
  // A crash of the host leaves what the disk has; PostgreSQL runs with fsync = off.
  await primary.kill9();
}

async function setUp(world: World, scale: number): Promise<RejoinSite> {
  const primary = await world.startPrimary({
    name: 'former',
    checksums: true,
    slaves: ['heir'],
    sections: { heir: { host: (await world.host('heir')).address } },
    ini: { debug: 'off' },
    settings,
  });
  await installHelpers(primary);
  await fillByPgbench(primary, scale);
  const bytes = Number(await primary.value('SELECT sum(pg_database_size(oid)) FROM pg_database'));
  const { standby, heir } = await makeHeir(world, primary);
  const hidden = join(world.directory, 'hidden');
  const keys = { ...ini, ...ownConfiguration, port: heir.port, includepath: hidden };
  const former = await world.addStandby('former', heir, { pgdata: primary.pgdata, ini: keys });
  await diverge(world, primary, standby);
  mustSucceed(await world.cmdStandby(former, ['-I', '--force=crashed']));
  mustSucceed(await world.cmdArchiver(heir, ['-I']));
  // Its WAL since the fork must be there in each round.
  await heir.kill9();
  endPrograms(world);
  const crashed = new Map(
    directoriesOf(former, heir).map((path, index) => [
      path,
      join(world.directory, `crashed${String(index)}`),
    ]),
  );
  for (const [path, copy] of crashed) await mustRun('cp', ['-a', path, copy], { limitMs });
  return {
    world,
    former,
    heir,
    bytes,
    restore: (isCold) => restore({ world, former, heir, bytes, crashed }, isCold),
    empty: () => {
      rmSync(former.pgdata, { recursive: true });
      mkdirSync(former.pgdata, { mode: 0o700 });
      for (const name of ['postgresql.conf', 'pg_hba.conf'])
        copyFileSync(join(crashed.get(former.pgdata) ?? '', name), join(former.pgdata, name));
      former.writeIni({ master_public_ip: heir.host.address });
    },
    offerRewind: (isThere) => {
      hideRewind(hidden, !isThere);
    },
  };
}

/** Data, and the archives of WAL, of which a host may have none. */
function directoriesOf(former: Standby, heir: Primary): readonly string[] {
  const names = ['archive', 'l_archive'];
  const archives = [former.host, heir.host].flatMap((host) =>
    names.map((name) => join(host.directory, name)),
  );
  return [former.pgdata, heir.pgdata, ...archives.filter((path) => existsSync(path))];
}

interface Crashed extends Pick<RejoinSite, 'world' | 'former' | 'heir' | 'bytes'> {
  /** The copy of each directory. */
  readonly crashed: ReadonlyMap<string, string>;
}

const settleMs = 1_500;

async function restore({ world, former, heir, bytes, crashed }: Crashed, isCold: boolean): Promise<void> {
  for (const server of [former, heir]) if (server.isRunning()) await server.kill9();
  endPrograms(world);
  for (const path of directoriesOf(former, heir)) if (!crashed.has(path)) rmSync(path, { recursive: true });
  // Only what differs is written: a disk that has much to write slows down what is measured next.
  const flags = ['-a', '--delete', '--checksum', '--inplace', '--no-whole-file'];
  for (const [path, copy] of crashed) await mustRun('rsync', [...flags, `${copy}/`, path], { limitMs });
  former.writeIni({});
  await heir.start();
  world.startArchiver(heir, ['--ship'], { limitMs: 3_600_000 });
  await mustRun('sync', ['-f', world.directory], { limitMs });
  await touchMemory(world.directory, Math.ceil(bytes / 1e6) + 500);
  if (isCold) await forgetFiles(former.pgdata);
  await setTimeout(settleMs);
}

/** They are on the disk already. Another user's permission is not needed for that. */
async function forgetFiles(directory: string): Promise<void> {
  const forget = 'for file; do dd if="$file" iflag=nocache count=0 status=none; done';
  await mustRun('find', [directory, '-type', 'f', '-exec', '/bin/sh', '-c', forget, 'sh', '{}', '+'], {
    limitMs,
  });
}

/** A program that is found first, and is of another release. */
function hideRewind(directory: string, isHidden: boolean): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'pg_rewind');
  if (isHidden) writeFileSync(path, '#!/bin/sh\necho "pg_rewind (PostgreSQL) 8.0"\n', { mode: 0o700 });
  else rmSync(path, { force: true });
}
