import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { IniKeys } from '../../../test/harness/ini.ts';
import type { Primary } from '../../../test/harness/primary.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { killAll, mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { createWorld, type World } from '../../../test/harness/world.ts';
import { installHelpers } from '../../../test/programs/backup-kit.ts';
import { fillByPgbench, mustSucceed } from './base-backup-site.ts';

/** A primary, and a standby with a base backup and a directory for its drills. */
export interface DrillSite {
  readonly world: World;
  readonly primary: Primary;
  readonly standby: Standby;
}

interface DrillSiteOptions {
  readonly major: number;
  /** The scale of the pgbench database. */
  readonly scale: number;
  readonly ini: IniKeys;
}

const settings = { max_wal_size: '8GB', checkpoint_timeout: '1h', shared_buffers: '128MB' };
export const drillLimitMs = 1_800_000;

export async function withDrillSite<T>(
  options: DrillSiteOptions,
  use: (site: DrillSite) => Promise<T>,
): Promise<T> {
  const world = await createWorld({ major: options.major });
  try {
    return await use(await setUp(world, options));
  } finally {
    endPrograms(world);
    await world.close();
  }
}

/** All that runs but the servers and the sshds. */
export function endPrograms(world: World): void {
  const isLasting = /\[listener\]|sshd_config|bin\/postgres -D|^postgres: /;
  killAll(processesOf(world.directory).filter(({ commandLine }) => !isLasting.test(commandLine)));
}

async function setUp(world: World, { scale, ini }: DrillSiteOptions): Promise<DrillSite> {
  const primary = await world.startPrimary({
    slaves: ['standby1'],
    checksums: true,
    ini: { debug: 'off' },
    settings: { ...settings, track_commit_timestamp: true },
  });
  const standby = await world.addStandby('standby1', primary, {
    ini: { debug: 'off', drill_dir: join(world.directory, 'd'), start_timeout: 600, ...ini },
    settings: { ...settings, track_commit_timestamp: true },
  });
  mkdirSync(standby.archiveDir, { recursive: true, mode: 0o700 });
  mustSucceed(await world.cmdArchiver(primary, ['-I']));
  await installHelpers(primary);
  world.startArchiver(primary, ['--ship'], { limitMs: 2 * drillLimitMs });
  await fillByPgbench(primary, scale);
  for (const action of ['-I', '-B'])
    mustSucceed(await world.cmdStandby(standby, [action], { limitMs: drillLimitMs }));
  return { world, primary, standby };
}

/** The arguments by which pgbench finds a server. */
export function pgbenchPlace({
  socketDirectory,
  port,
  user,
}: Pick<Primary, 'socketDirectory' | 'port' | 'user'>): readonly string[] {
  return ['-h', socketDirectory, '-p', String(port), '-U', user, 'postgres'];
}

/** All files of these directories are in memory then. */
export async function readAll(directories: readonly string[]): Promise<void> {
  const read = 'find "$@" -type f -exec cat {} + >/dev/null';
  await mustRun('/bin/sh', ['-c', read, 'sh', ...directories], { limitMs: 600_000 });
}
