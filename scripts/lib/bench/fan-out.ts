import { type BenchContext, isArchived, over, useCommand, verify } from './drain.ts';
import { secondsUntil, startMeter, touchMemory } from './measure.ts';
import { megabytes, ratio, seconds, type Table } from './report.ts';
import { holdsAll, listStandbys, runPgbench, type Site, withSite } from './site.ts';
import { median } from './statistics.ts';
import { archiverCommand } from './tools.ts';

interface FanOut {
  readonly archivedSeconds: number;
  readonly deliveredSeconds: number;
  readonly cpuSeconds: number | undefined;
  readonly peakMemoryMb: number | undefined;
}

/** Measures the same backlog to one standby and to several. */
export async function measureFanOut({ major, options, say }: BenchContext): Promise<Table> {
  const runs = new Map<number, FanOut[]>(options.fanOut.map((count) => [count, []]));
  return withSite(
    {
      major,
      standbys: Math.max(...options.fanOut),
      load: (primary) => runPgbench(primary, options.fanOutSegments),
    },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const count of options.fanOut) {
          const result = await drainTo(site, count);
          runs.get(count)?.push(result);
          say(
            `fan-out ${String(round)}/${String(options.rounds)} to ${String(count)}: delivered ${seconds(result.deliveredSeconds)}`,
          );
        }
      }
      return fanOutTable(site, runs);
    },
  );
}

async function drainTo(site: Site, count: number): Promise<FanOut> {
  await site.restore();
  const some = site.standbys.slice(0, count);
  listStandbys(site, some);
  await touchMemory(site.world.directory, 4_000);
  const meter = startMeter();
  const start = performance.now();
  await useCommand(site, archiverCommand(site));
  const [archivedSeconds, deliveredSeconds] = await Promise.all([
    secondsUntil(start, () => isArchived(site, site.backlog), 'all archived'),
    secondsUntil(
      start,
      () => some.every(({ archiveDir }) => holdsAll(archiveDir, site.backlog, site.segmentBytes)),
      'all at every standby',
    ),
  ]);
  const usage = meter.stop();
  await verify(site);
  await site.quiet();
  return { archivedSeconds, deliveredSeconds, ...usage };
}

function fanOutTable(site: Site, runs: ReadonlyMap<number, readonly FanOut[]>): Table {
  const of = (count: number, key: keyof FanOut): number | undefined => {
    const values = (runs.get(count) ?? []).flatMap((run) => run[key] ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const [least = 1] = runs.keys();
  return {
    title: `The same backlog to several standbys (${String(site.backlog.length)} segments of 16 MB)`,
    note: 'Medians; delivered: all are at every standby. All standbys are on this machine, whose processors they share.',
    columns: ['standbys', 'archived', 'delivered', 'CPU', 'memory', 'delivered ×'],
    rows: [...runs.keys()].map((count) => [
      String(count),
      seconds(of(count, 'archivedSeconds')),
      seconds(of(count, 'deliveredSeconds')),
      seconds(of(count, 'cpuSeconds')),
      megabytes(of(count, 'peakMemoryMb')),
      ratio(over(of(count, 'deliveredSeconds'), of(least, 'deliveredSeconds'))),
    ]),
    samples: Object.fromEntries(runs),
  };
}
