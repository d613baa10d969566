import type { Finished } from '../../../test/harness/processes.ts';
import { mustSucceed } from './base-backup-site.ts';
import { type BenchContext, inTurn, over } from './drain.ts';
import { startMeter, type Usage } from './measure.ts';
import { type RejoinSite, withRejoinSite } from './rejoin-site.ts';
import { megabytes, ratio, seconds, type Table } from './report.ts';
import { median } from './statistics.ts';

interface Sample extends Usage {
  readonly seconds: number;
}

interface Way {
  readonly name: string;
  readonly label: string;
  readonly prepare: (site: RejoinSite) => void;
  readonly run: (site: RejoinSite) => Promise<Finished>;
}

const limitMs = 1_800_000;

const ways: readonly Way[] = [
  {
    name: 'rewind',
    label: '--rejoin by pg_rewind',
    prepare: (site) => {
      site.offerRewind(true);
    },
    run: (site) => rejoin(site, 'Way: pg_rewind from'),
  },
  {
    name: 'reuse',
    label: '--rejoin by -B, which reuses the files that are right',
    prepare: (site) => {
      site.offerRewind(false);
    },
    run: (site) => rejoin(site, 'Way: a base backup of'),
  },
  {
    name: 'empty',
    label: '-B into an empty directory, and -S',
    prepare: (site) => {
      site.empty();
    },
    run: async ({ world, former }) => {
      mustSucceed(await world.cmdStandby(former, ['-B'], { limitMs }));
      return world.cmdStandby(former, ['-S'], { limitMs });
    },
  },
];

async function rejoin({ world, former, heir }: RejoinSite, way: string): Promise<Finished> {
  const run = await world.cmdStandby(former, ['--rejoin', `${heir.host.address}:${String(heir.port)}`], {
    limitMs,
  });
  mustSucceed(run);
  if (!run.stdout.includes(way)) throw new Error(`not by this way: ${run.stdout}`);
  return run;
}

/** A way, and whether the host of the former primary has crashed with its server, so that its memory is empty. */
interface Run {
  readonly way: Way;
  readonly isCold: boolean;
}

const runs: readonly Run[] = [
  ...ways.map((way) => ({ way, isCold: false })),
  ...ways.filter(({ name }) => name !== 'empty').map((way) => ({ way, isCold: true })),
];

function keyOf(name: string, isCold: boolean): string {
  return isCold ? `${name}-cold` : name;
}

async function measure({ say }: BenchContext, site: RejoinSite, { way, isCold }: Run): Promise<Sample> {
  await site.restore(isCold);
  way.prepare(site);
  const meter = startMeter();
  const began = performance.now();
  const run = await way.run(site);
  const sample = { seconds: (performance.now() - began) / 1000, ...meter.stop() };
  mustSucceed(run);
  say(
    `rejoin ${way.label}${isCold ? ', its files not in memory' : ''}: ${seconds(sample.seconds)}, CPU ${seconds(sample.cpuSeconds)}`,
  );
  return sample;
}

/** Measures how long a former primary takes to become a standby, by each way on the same data. */
export async function measureRejoin(context: BenchContext): Promise<Table> {
  const { major, options } = context;
  const samples = new Map<string, Sample[]>(runs.map(({ way, isCold }) => [keyOf(way.name, isCold), []]));
  const bytes = await withRejoinSite(major, options.rejoinScale, async (site) => {
    for (let round = 1; round <= options.rejoinRounds; round += 1)
      for (const run of inTurn(runs, round))
        samples.get(keyOf(run.way.name, run.isCold))?.push(await measure(context, site, run));
    return site.bytes;
  });
  const of = (name: string, key: keyof Sample) =>
    median((samples.get(name) ?? []).flatMap((sample) => sample[key] ?? []));
  const by = (name: string, key: keyof Sample) =>
    ['reuse', 'empty'].map((other) => ratio(over(of(name, key), of(other, key))));
  return {
    title: `A former primary of ${(bytes / 1e9).toFixed(1)} GB becomes a standby`,
    note:
      `Medians of ${String(options.rejoinRounds)}. It has crashed after a change in each hundredth page of its largest table that its heir does not have. From the call until the ` +
      'server is seen streaming. Cold: none of its files are in memory, as after a crash of its host. The columns ÷ say how many times what the base backups take.',
    columns: [
      'way',
      'time',
      '÷ reusing',
      '÷ empty',
      'cold',
      '÷ reusing',
      'CPU',
      '÷ reusing',
      '÷ empty',
      'memory',
    ],
    rows: ways.map(({ name, label }) => [
      label,
      seconds(of(name, 'seconds')),
      ...by(name, 'seconds'),
      seconds(of(keyOf(name, true), 'seconds')),
      ratio(over(of(keyOf(name, true), 'seconds'), of(keyOf('reuse', true), 'seconds'))),
      seconds(of(name, 'cpuSeconds')),
      ...by(name, 'cpuSeconds'),
      megabytes(of(name, 'peakMemoryMb')),
    ]),
    samples: Object.fromEntries(samples),
  };
}
