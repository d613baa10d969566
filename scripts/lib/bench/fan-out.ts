import { checkout } from '../../../test/harness/checkout.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { type BenchContext, isArchived, over, useCommand, verify } from './drain.ts';
import { secondsOfFamilies, secondsUntil, startMeter, touchMemory } from './measure.ts';
import { againstOther, twinOf } from './pairs.ts';
import { megabytes, ratio, seconds, type Table } from './report.ts';
import { holdsAll, listStandbys, runPgbench, type Site, withSite } from './site.ts';
import { median } from './statistics.ts';
import { archiverCommand, otherCheckout } from './tools.ts';

interface FanOut {
  readonly archivedSeconds: number;
  readonly deliveredSeconds: number;
  readonly cpuSeconds: number | undefined;
  /** Of all processes but those on the standbys. */
  readonly primarySeconds: number | undefined;
  readonly peakMemoryMb: number | undefined;
}

/** The programs of one checkout that deliver to some standbys. */
interface Variant {
  readonly name: string;
  readonly label: string;
  readonly count: number;
  readonly root: string;
}

function variantsOf(counts: readonly number[]): readonly Variant[] {
  return counts.flatMap((count) => {
    const name = String(count);
    const ours = { name, label: name, count, root: checkout() };
    if (otherCheckout === undefined) return [ours];
    return [ours, { ...ours, name: twinOf(name), label: `${name}, other checkout`, root: otherCheckout }];
  });
}

/** Measures the same backlog to one standby and to several. */
export async function measureFanOut({ major, options, say }: BenchContext): Promise<Table> {
  const variants = variantsOf(options.fanOut);
  const runs = new Map<string, FanOut[]>(variants.map(({ name }) => [name, []]));
  return withSite(
    {
      major,
      standbys: Math.max(...options.fanOut),
      load: (primary) => runPgbench(primary, options.fanOutSegments),
    },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const variant of variants) {
          const result = await drainTo(site, variant);
          runs.get(variant.name)?.push(result);
          say(
            `fan-out ${String(round)}/${String(options.rounds)} to ${variant.label}: delivered ${seconds(result.deliveredSeconds)}, ` +
              `CPU ${seconds(result.cpuSeconds)}, of the primary ${seconds(result.primarySeconds)}`,
          );
        }
      }
      return fanOutTable(site, variants, runs);
    },
  );
}

/** Everything on the standbys is below their sshds. */
function standbySeconds(standbys: Site['standbys']): number {
  const listeners = standbys.flatMap(({ host }) =>
    processesOf(host.directory).filter(({ commandLine }) => /\[listener\]|sshd_config/.test(commandLine)),
  );
  return secondsOfFamilies(listeners.map(({ pid }) => pid));
}

async function drainTo(site: Site, { count, root }: Variant): Promise<FanOut> {
  await site.restore();
  const some = site.standbys.slice(0, count);
  listStandbys(site, some);
  const backlogMb = (site.backlog.length * site.segmentBytes) / 1e6;
  await touchMemory(site.world.directory, 2_500 + count * backlogMb);
  const there = standbySeconds(some);
  const meter = startMeter();
  const start = performance.now();
  await useCommand(site, archiverCommand(site, root));
  const [archivedSeconds, deliveredSeconds] = await Promise.all([
    secondsUntil(start, () => isArchived(site, site.backlog), 'all archived'),
    secondsUntil(
      start,
      () => some.every(({ archiveDir }) => holdsAll(archiveDir, site.backlog, site.segmentBytes)),
      'all at every standby',
    ),
  ]);
  const usage = meter.stop();
  const primarySeconds =
    usage.cpuSeconds === undefined ? undefined : usage.cpuSeconds - (standbySeconds(some) - there);
  await verify(site);
  await site.quiet();
  return { archivedSeconds, deliveredSeconds, primarySeconds, ...usage };
}

function fanOutTable(
  site: Site,
  variants: readonly Variant[],
  runs: ReadonlyMap<string, readonly FanOut[]>,
): Table {
  const all =
    (key: keyof FanOut) =>
    (name: string): number[] =>
      (runs.get(name) ?? []).flatMap((run) => run[key] ?? []);
  const of = (name: string, key: keyof FanOut): number | undefined => {
    const values = all(key)(name);
    return values.length === 0 ? undefined : median(values);
  };
  const [least = '1'] = runs.keys();
  return {
    title: `The same backlog to several standbys (${String(site.backlog.length)} segments of 16 MB)`,
    note:
      'Medians; delivered: all are at every standby. All standbys are on this machine, whose processors they share. CPU of the primary: without what runs on the standbys.' +
      againstOther([...runs.keys()], {
        delivered: all('deliveredSeconds'),
        CPU: all('cpuSeconds'),
        'CPU of the primary': all('primarySeconds'),
      }),
    columns: [
      'standbys',
      'archived',
      'delivered',
      'CPU',
      'CPU of the primary',
      'memory',
      'delivered ×',
      'CPU of the primary ×',
    ],
    rows: variants.map(({ name, label }) => [
      label,
      seconds(of(name, 'archivedSeconds')),
      seconds(of(name, 'deliveredSeconds')),
      seconds(of(name, 'cpuSeconds')),
      seconds(of(name, 'primarySeconds')),
      megabytes(of(name, 'peakMemoryMb')),
      ratio(over(of(name, 'deliveredSeconds'), of(least, 'deliveredSeconds'))),
      ratio(over(of(name, 'primarySeconds'), of(least, 'primarySeconds'))),
    ]),
    samples: Object.fromEntries(runs),
  };
}
