import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../../test/harness/eventually.ts';
import { clientProgram } from '../../../test/harness/postgres-programs.ts';
import type { Primary } from '../../../test/harness/primary.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { killAll, mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { createWorld, type World } from '../../../test/harness/world.ts';

/** A primary with a backlog that was never archived, and standbys that have none of it: the same state before every run. */
export interface Site {
  readonly world: World;
  readonly primary: Primary;
  readonly standbys: readonly Standby[];
  /** The names of the waiting segments. */
  readonly backlog: readonly string[];
  readonly segmentBytes: number;
  /** Restores the state of the snapshot and starts PostgreSQL, which archives nothing yet. */
  restore(): Promise<void>;
  /** Ends all processes of a run, including PostgreSQL. */
  quiet(): Promise<void>;
}

export interface SiteOptions {
  readonly major: number;
  readonly standbys: number;
  readonly walSegmentMb?: number;
  /** Prepares the rest of the snapshot while the server runs, before the backlog is made. */
  readonly prepare?: (ground: Ground) => Promise<void>;
  /** Makes the WAL. */
  readonly load: (primary: Primary) => Promise<void>;
}

export type Ground = Pick<Site, 'world' | 'primary' | 'standbys'>;

/** An empty command: PostgreSQL keeps its WAL, and asks again when it reloads its configuration. */
const notYet = { archive_command: '' };

export async function withSite<T>(options: SiteOptions, use: (site: Site) => Promise<T>): Promise<T> {
  const world = await createWorld({ major: options.major });
  try {
    const ground = await setUp(world, options);
    await options.load(ground.primary);
    await ground.primary.stop();
    return await use(await snapshot(ground, options));
  } finally {
    endAll(world);
    await world.close();
  }
}

async function setUp(world: World, options: SiteOptions): Promise<Ground> {
  const names = Array.from({ length: options.standbys }, (_, index) => `s${String(index + 1)}`);
  const primary = await world.startPrimary({
    slaves: names,
    ini: { debug: 'off' },
    ...(options.walSegmentMb === undefined ? {} : { walSegmentMb: options.walSegmentMb }),
    settings: { ...notYet, max_wal_size: '32GB', checkpoint_timeout: '1h', shared_buffers: '128MB' },
  });
  const standbys: Standby[] = [];
  for (const name of names) standbys.push(await world.addStandby(name, primary, { ini: { debug: 'off' } }));
  // -I marks each archive directory that it finds as this cluster's.
  for (const { archiveDir } of standbys) mkdirSync(archiveDir, { recursive: true, mode: 0o700 });
  await mustSucceed(world.cmdArchiver(primary, ['-I']));
  await options.prepare?.({ world, primary, standbys });
  return { world, primary, standbys };
}

async function mustSucceed(run: ReturnType<World['cmdArchiver']>): Promise<void> {
  const { code, stdout, stderr } = await run;
  if (code !== 0) throw new Error(`the program exited ${String(code)}: ${stdout}${stderr}`);
}

/** Runs pgbench until this many full segments wait. The checkpoints make it write whole pages, as on a busy server. */
export async function runPgbench(primary: Primary, segments: number): Promise<void> {
  const place = ['-h', primary.socketDirectory, '-p', String(primary.port), '-U', primary.user, 'postgres'];
  await mustRun(clientProgram('pgbench'), ['-q', '-i', '-s', '10', ...place], { env: primary.env });
  while (waiting(primary).length < segments) {
    await primary.sql('CHECKPOINT');
    await mustRun(clientProgram('pgbench'), ['-n', '-c', '4', '-j', '2', '-T', '1', ...place], {
      env: primary.env,
    });
  }
}

/** The segments that PostgreSQL wants to have archived. */
export function waiting(primary: Primary): string[] {
  return primary
    .archiveStatus()
    .flatMap((name) => /^([0-9A-F]{24})\.ready$/.exec(name)?.[1] ?? [])
    .sort();
}

async function snapshot(ground: Ground, options: SiteOptions): Promise<Site> {
  const { world, primary, standbys } = ground;
  const store = join(world.directory, 'snapshot');
  const places = [
    primary.pgdata,
    primary.lArchiveDir,
    ...standbys.flatMap((one) => [one.archiveDir, repositoryOf(one)]),
  ];
  mkdirSync(store);
  for (const [number, place] of places.entries()) {
    if (existsSync(place)) await copyTree(place, join(store, String(number)));
  }
  const quiet = async (): Promise<void> => {
    if (primary.isRunning()) await primary.kill9();
    endAll(world);
    await eventually(() => workers(world).length === 0, { what: 'the end of what a run had started' });
  };
  return {
    ...ground,
    backlog: waiting(primary),
    segmentBytes: (options.walSegmentMb ?? 16) * 1024 * 1024,
    quiet,
    restore: async () => {
      await quiet();
      for (const [number, place] of places.entries()) {
        rmSync(place, { recursive: true, force: true });
        if (existsSync(join(store, String(number)))) await copyTree(join(store, String(number)), place);
      }
      // Pending writes must not distort the measurement.
      await mustRun('sync', ['-f', world.directory]);
      await primary.start();
    },
  };
}

/** The directory in which a standby's other tools keep the files that they receive. */
export function repositoryOf(standby: Standby): string {
  return join(standby.host.directory, 'repository');
}

async function copyTree(from: string, to: string): Promise<void> {
  await mustRun('cp', ['-a', '--reflink=auto', from, to]);
}

function endAll(world: World): void {
  killAll(workers(world));
}

/** All processes of the world except its sshds and its servers. */
function workers(world: World): ReturnType<typeof processesOf> {
  const isLasting = /\[listener\]|sshd_config|bin\/postgres -D|^postgres: /;
  return processesOf(world.directory).filter(({ commandLine }) => !isLasting.test(commandLine));
}

/** Writes this list of standbys. A section of a standby that is not in the list would be refused. */
export function listStandbys({ primary }: Site, listed: readonly Standby[]): void {
  const names = listed.map(({ name }) => name);
  primary.writeIni({ slaves: names.join(', ') });
  const sections = readFileSync(primary.iniFile, 'utf8').split(/\n(?=\[)/);
  const isWanted = (section: string): boolean =>
    ['DEFAULT', ...names].some((name) => section.startsWith(`[${name}]`));
  writeFileSync(primary.iniFile, sections.filter(isWanted).join('\n'));
}

/** Whether a directory holds every segment, each whole. */
export function holdsAll(directory: string, segments: readonly string[], bytes: number): boolean {
  if (!existsSync(directory)) return false;
  const names = new Set(readdirSync(directory));
  return segments.every((name) => names.has(name) && statSync(join(directory, name)).size === bytes);
}
