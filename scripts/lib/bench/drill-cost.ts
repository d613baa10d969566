import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../test/harness/eventually.ts';
import { clientProgram } from '../../../test/harness/postgres-programs.ts';
import { start } from '../../../test/harness/processes.ts';
import type { Server } from '../../../test/harness/server.ts';
import { mustSucceed } from './base-backup-site.ts';
import { type BenchContext, inTurn } from './drain.ts';
import { drillLimitMs as limitMs, type DrillSite, pgbenchPlace, withDrillSite } from './drill-site.ts';
import { pairedRatio, pairedText } from './pairs.ts';
import { milliseconds, ratio, seconds, type Table } from './report.ts';
import { median, percentile } from './statistics.ts';

/** Of the primary's transactions and of the standby's queries, per second. */
const rates = { writes: 100, queries: 200 };
const settleMs = 5_000;
const lagEveryMs = 20;

/** A measured value, and when it was measured: in milliseconds since 1970. */
interface Reading {
  readonly atMs: number;
  readonly ms: number;
}

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Part {
  readonly name: string;
  readonly window: Window;
}

/** 95th percentiles, in milliseconds. */
interface Cost {
  readonly queries: number;
  readonly lag: number;
}

interface DrillCost extends Cost {
  readonly drillSeconds: number;
}

interface CostRound {
  readonly without: Cost;
  readonly drills: ReadonlyMap<string, DrillCost>;
  readonly load: number;
}

/** How much a drill copies per second. */
const copyRates = [
  { label: 'drill_rate: 100MB', drill_rate: '100MB' },
  { label: 'as fast as it can', drill_rate: undefined },
] as const;

/** pgbench at a steady rate; each transaction leaves a line in its log. */
function startPgbench(server: Server, directory: string, args: readonly string[]): void {
  mkdirSync(directory);
  const all = ['-n', '-c', '4', '-j', '1', '-T', '86400', '-l', ...args, ...pgbenchPlace(server)];
  start(clientProgram('pgbench'), all, { cwd: directory, env: server.env, limitMs: 4 * limitMs });
}

/** The time from the moment for which a transaction was planned until its end: a wait for its turn counts. */
function latenciesIn(directory: string): readonly Reading[] {
  const text = readdirSync(directory)
    .map((name) => readFileSync(join(directory, name), 'utf8'))
    .join('');
  return text.split('\n').flatMap((line) => {
    const [, , us, , epoch, fraction] = line.split(' ').map(Number);
    if (us === undefined || epoch === undefined || fraction === undefined) return [];
    return [{ atMs: epoch * 1000 + fraction / 1000, ms: us / 1000 }];
  });
}

/** The age of the last replayed commit; at this rate of writes hardly more than the lag. */
function watchLag(standby: Server): { readonly readings: Reading[]; stop: () => Promise<void> } {
  const readings: Reading[] = [];
  let isStopped = false;
  const done = standby.withSession(async (client) => {
    while (!isStopped) {
      const { rows } = await client.query<{ ms: number }>(
        'SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 * 1000 AS ms',
      );
      readings.push({ atMs: Date.now(), ms: rows[0]?.ms ?? NaN });
      await delay(lagEveryMs);
    }
  });
  return {
    readings,
    stop: async () => {
      isStopped = true;
      await done;
    },
  };
}

function p95(readings: readonly Reading[], { fromMs, toMs }: Window): number {
  const own = readings.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ ms }) => ms);
  if (own.length === 0) throw new Error('nothing was measured');
  return percentile(own, 0.95);
}

interface Report {
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
}

/** The phases follow each other; what is left of the run is its beginning and its end. */
function partsOf({ phases }: Report, { fromMs, toMs }: Window): readonly Part[] {
  const total = phases.reduce((sum, one) => sum + one.seconds * 1000, 0);
  // Its end, the removal of the copy, takes longer than its beginning.
  let at = fromMs + Math.min(1_000, (toMs - fromMs - total) / 2);
  return phases.map(({ name, seconds: length }) => {
    const window = { fromMs: at, toMs: at + length * 1000 };
    at = window.toMs;
    return { name, window };
  });
}

async function runDrill({ world, standby }: DrillSite): Promise<{ window: Window; report: Report }> {
  const fromMs = Date.now();
  const run = await world.cmdStandby(standby, ['--drill', '--json'], { limitMs });
  mustSucceed(run);
  return { window: { fromMs, toMs: Date.now() }, report: JSON.parse(run.stdout) as Report };
}

interface Watching {
  readonly cost: (window: Window) => Cost;
  readonly stop: () => Promise<void>;
}

function watchStandby({ standby }: DrillSite, log: string): Watching {
  const lag = watchLag(standby);
  return {
    cost: (window) => ({ queries: p95(latenciesIn(log), window), lag: p95(lag.readings, window) }),
    stop: lag.stop,
  };
}

const costText = ({ queries, lag }: Cost): string =>
  `queries ${milliseconds(queries)}, lag ${milliseconds(lag)}`;

async function measureDrill(
  { say }: BenchContext,
  site: DrillSite,
  watching: Watching,
  about: string,
): Promise<DrillCost> {
  const { window, report } = await runDrill(site);
  const cost = { ...watching.cost(window), drillSeconds: (window.toMs - window.fromMs) / 1000 };
  say(`drill-cost ${about}, ${seconds(cost.drillSeconds)}: ${costText(cost)}`);
  for (const { name, window: part } of partsOf(report, window))
    if (part.toMs - part.fromMs > 1_000)
      say(`  ${name} ${seconds((part.toMs - part.fromMs) / 1000)}: ${costText(watching.cost(part))}`);
  return cost;
}

async function measureCostRound(
  context: BenchContext,
  site: DrillSite,
  watching: Watching,
  round: number,
): Promise<CostRound> {
  const { say, options } = context;
  const load = loadavg()[0] ?? NaN;
  let without: Cost | undefined;
  const drills = new Map<string, DrillCost>();
  const measurements = [
    async () => {
      const fromMs = Date.now();
      await delay(options.drillQuietMs);
      without = watching.cost({ fromMs, toMs: Date.now() });
      say(`drill-cost ${String(round)}, without: ${costText(without)}`);
    },
    ...copyRates.map(({ label, drill_rate }) => async () => {
      site.standby.writeIni({ drill_rate });
      drills.set(label, await measureDrill(context, site, watching, `${String(round)}, ${label}`));
    }),
  ];
  for (const measure of inTurn(measurements, round)) {
    await delay(settleMs);
    await measure();
  }
  if (without === undefined) throw new Error('nothing was measured without a drill');
  return { without, drills, load };
}

/** Measures what a drill costs a hot standby that streams and answers queries. */
export async function measureDrillCost(context: BenchContext): Promise<Table> {
  const { major, options } = context;
  const { drillScale, drillRounds } = options;
  const ini = { use_streaming_replication: 'on', drill_limit: '100GB' };
  const rounds = await withDrillSite({ major, scale: drillScale, ini }, async (site) => {
    const { world, primary, standby } = site;
    mustSucceed(await world.cmdStandby(standby, ['-S'], { limitMs }));
    await eventually(() => standby.inRecovery().catch(() => false), { limitMs: 120_000 });
    const logs = { writes: join(world.directory, 'writes'), queries: join(world.directory, 'queries') };
    startPgbench(primary, logs.writes, ['-R', String(rates.writes)]);
    startPgbench(standby, logs.queries, ['-S', '-R', String(rates.queries)]);
    await delay(settleMs);
    const watching = watchStandby(site, logs.queries);
    const measured: CostRound[] = [];
    try {
      for (let round = 1; round <= drillRounds; round += 1)
        measured.push(await measureCostRound(context, site, watching, round));
    } finally {
      await watching.stop();
    }
    return measured;
  });
  return costTable(rounds, drillScale);
}

function costTable(rounds: readonly CostRound[], scale: number): Table {
  const rows = copyRates.flatMap(({ label }) => {
    const pairs = rounds.flatMap(({ without, drills }) => {
      const during = drills.get(label);
      return during === undefined ? [] : [{ without, during }];
    });
    const took = median(pairs.map(({ during }) => during.drillSeconds));
    return (['queries', 'lag'] as const).map((what) => {
      const without = pairs.map((pair) => pair.without[what]);
      const during = pairs.map((pair) => pair.during[what]);
      return [
        `${what === 'queries' ? 'queries on the standby' : 'replay lag'}; ${label}`,
        seconds(took),
        milliseconds(median(without)),
        milliseconds(median(during)),
        ratio(median(during.map((value, index) => value / (without[index] ?? NaN)))),
        pairedText(pairedRatio(during, without)),
      ];
    });
  });
  const loads = rounds.map(({ load }) => load);
  return {
    title: 'What a drill costs a hot standby',
    note:
      `95th percentiles, medians of ${String(rounds.length)} rounds: a time without a drill, and drills with the default priority, in turn, of a pgbench database of scale ${String(scale)}; ` +
      `the time of a drill includes the removal of its copy. The primary takes ${String(rates.writes)} transactions a second, the standby streams, and answers ${String(rates.queries)} queries a second. ` +
      `Load of the machine before the rounds, these programs included: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
    columns: ['', 'a drill takes', 'p95 without', 'p95 during a drill', 'during ÷ without', 'pairs'],
    rows,
    samples: rounds.map(({ without, drills, load }) => ({
      without,
      load,
      drills: Object.fromEntries(drills),
    })),
  };
}
