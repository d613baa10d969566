import { loadavg } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../../test/harness/eventually.ts';
import { clientProgram } from '../../../test/harness/postgres-programs.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import { allShipped } from '../../../test/programs/backup-kit.ts';
import { mustSucceed } from './base-backup-site.ts';
import type { BenchContext } from './drain.ts';
import {
  drillLimitMs as limitMs,
  type DrillSite,
  endPrograms,
  pgbenchPlace,
  readAll,
  withDrillSite,
} from './drill-site.ts';
import { touchMemory } from './measure.ts';
import { ratio, seconds, type Table } from './report.ts';
import { median } from './statistics.ts';

/** A standby that has all of the WAL still to replay. */
const ways = [
  { name: 'cold', label: 'stopped', delay: undefined },
  { name: 'delayed', label: 'delayed, running', delay: '12h' },
] as const;

type Way = (typeof ways)[number];

const phaseNames = ['planning', 'start', 'replay', 'promotion', 'completion'] as const;

/** What --history keeps of a drill and of a promotion. */
interface Course {
  readonly kind: string;
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
  readonly rtoSeconds: number;
  readonly replayedTo: string;
  readonly lastCommit: string;
}

interface Pair {
  readonly drill: Course;
  readonly failover: Course;
  /** Of the machine, over the minute before each of the two. */
  readonly load: readonly [number, number];
}

interface Ready extends DrillSite {
  readonly restore: () => Promise<void>;
}

/** Checkpoints make the primary write whole pages, as on a busy server. */
async function makeWal({ primary, standby }: DrillSite, segments: number): Promise<void> {
  const before = standby.archive().length;
  while (standby.archive().length < before + segments) {
    await primary.sql('CHECKPOINT');
    const load = ['-n', '-c', '4', '-j', '2', '-T', '2', ...pgbenchPlace(primary)];
    await mustRun(clientProgram('pgbench'), load, { env: primary.env });
  }
  await primary.switchWal();
  await allShipped(primary);
}

/** The standby as it is before it has replayed anything; each run begins there. */
async function keep(site: DrillSite): Promise<Ready> {
  const { world, standby, primary } = site;
  endPrograms(world);
  const places = [standby.pgdata, standby.archiveDir];
  const store = (index: number): string => join(world.directory, `kept${String(index)}`);
  for (const [index, place] of places.entries())
    await mustRun('cp', ['-a', place, store(index)], { limitMs });
  return {
    ...site,
    restore: async () => {
      if (standby.isRunning()) await standby.kill9();
      endPrograms(world);
      const flags = ['-a', '--delete', '--checksum', '--inplace', '--no-whole-file'];
      for (const [index, place] of places.entries())
        await mustRun('rsync', [...flags, `${store(index)}/`, place], { limitMs });
      if (!primary.isRunning()) await primary.start();
    },
  };
}

async function lastCourse({ world, standby }: DrillSite, kind: string): Promise<Course> {
  const run = await world.cmdStandby(standby, ['--history', '--json']);
  mustSucceed(run);
  const { events } = JSON.parse(run.stdout) as { readonly events: readonly Course[] };
  const found = events.filter((event) => event.kind === kind).at(-1);
  if (found === undefined) throw new Error(`no "${kind}" in the history: ${run.stdout}`);
  return found;
}

/** Nothing of what is measured waits for the disk, neither to read nor for what was written before. */
async function warm({ world, standby }: DrillSite): Promise<void> {
  await touchMemory(world.directory, 1_000);
  await readAll([standby.pgdata, standby.archiveDir]);
}

async function begin(site: Ready, { delay }: Way): Promise<void> {
  const { world, standby } = site;
  standby.writeIni({ recovery_min_apply_delay: delay });
  await site.restore();
  if (delay === undefined) return;
  mustSucceed(await world.cmdStandby(standby, ['-S'], { limitMs }));
  await eventually(() => standby.inRecovery().catch(() => false), { limitMs: 120_000 });
}

/** The drill of a standby, and the failover of the same one right after it. */
async function measurePair(site: Ready, way: Way): Promise<Pair> {
  const { world, standby, primary } = site;
  await begin(site, way);
  await warm(site);
  const before = loadavg()[0] ?? NaN;
  mustSucceed(await world.cmdStandby(standby, ['--drill'], { limitMs }));
  const drill = await lastCourse(site, 'drilled');
  await primary.kill9();
  await warm(site);
  const between = loadavg()[0] ?? NaN;
  mustSucceed(await world.cmdStandby(standby, ['-F999'], { limitMs }));
  const failover = await lastCourse(site, 'promoted');
  if (drill.replayedTo !== failover.replayedTo || drill.lastCommit !== failover.lastCommit)
    throw new Error(`they have not replayed the same: ${JSON.stringify({ drill, failover })}`);
  return { drill, failover, load: [before, between] };
}

function phaseOf({ phases }: Course, wanted: string): number {
  return phases.find(({ name }) => name === wanted)?.seconds ?? 0;
}

/** Measures a drill beside a failover: how long each of their phases takes. */
export async function measureDrill(context: BenchContext): Promise<Table> {
  const { major, options, say } = context;
  const { drillSegments, drillRounds } = options;
  const pairs = new Map<string, Pair[]>(ways.map(({ name }) => [name, []]));
  const ini = { drill_nice: 0, drill_ionice: 'off' };
  await withDrillSite({ major, scale: 20, ini }, async (made) => {
    await makeWal(made, drillSegments);
    const site = await keep(made);
    for (let round = 1; round <= drillRounds; round += 1)
      for (const way of ways) {
        const pair = await measurePair(site, way);
        pairs.get(way.name)?.push(pair);
        const shown = phaseNames.map(
          (name) =>
            `${name} ${seconds(phaseOf(pair.drill, name))} / ${seconds(phaseOf(pair.failover, name))}`,
        );
        say(
          `drill ${way.name}, load ${pair.load.map((one) => one.toFixed(1)).join(' / ')}: ${shown.join(', ')}`,
        );
      }
  });
  return drillTable(pairs, drillSegments, drillRounds);
}

/** Each phase within a second, or within 30 %. */
function isAlike(drill: number, failover: number): boolean {
  return Math.abs(drill - failover) <= Math.max(1, 0.3 * failover);
}

function drillTable(pairs: ReadonlyMap<string, readonly Pair[]>, segments: number, rounds: number): Table {
  const rows = ways.flatMap(({ name, label }) => {
    const own = pairs.get(name) ?? [];
    const row = (what: string, of: (course: Course) => number): string[] => {
      const [drill, failover] = [
        median(own.map((pair) => of(pair.drill))),
        median(own.map((pair) => of(pair.failover))),
      ];
      const alike = own.filter((pair) => isAlike(of(pair.drill), of(pair.failover))).length;
      return [
        `${label}: ${what}`,
        seconds(drill),
        seconds(failover),
        seconds(drill - failover),
        failover === 0 ? '–' : ratio(drill / failover),
        `${String(alike)} of ${String(own.length)}`,
      ];
    };
    return [
      ...phaseNames.map((phase) => row(phase, (course) => phaseOf(course, phase))),
      row('RTO', ({ rtoSeconds }) => rtoSeconds),
    ];
  });
  const loads = [...pairs.values()].flat().flatMap(({ load }) => load);
  return {
    title: `A drill beside a failover, ${String(segments)} segments of 16 MB to replay`,
    note:
      `Medians of ${String(rounds)} pairs: a drill with drill_nice: 0 and drill_ionice: off, and -F999 of the same standby right after it, when its primary has been killed. ` +
      'Before both, all files of the standby and its archive are read into memory. In each pair both have replayed to the same place and have the same last commit. ' +
      'Alike: pairs in which the two differ by at most a second or 30 %. ' +
      `Load of the machine before the runs: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
    columns: ['standby: phase', 'drill', '-F999', 'drill − -F999', 'drill ÷ -F999', 'alike'],
    rows,
    samples: Object.fromEntries(pairs),
  };
}
