import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeScript } from '../../../test/harness/host.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import type { Standby } from '../../../test/harness/standby.ts';
import { type BenchContext, inTurn, isArchived, over, useCommand } from './drain.ts';
import { secondsUntil, touchMemory } from './measure.ts';
import { ratio, seconds, type Table } from './report.ts';
import { holdsAll, listStandbys, runPgbench, type Site, withSite } from './site.ts';
import { median } from './statistics.ts';
import { archiverCommand } from './tools.ts';

interface Outage {
  readonly deliveredSeconds: number;
  readonly archivedSeconds: number;
  /** The longest archive_command. */
  readonly longestCallSeconds: number;
}

const standbys = 8;
const dead = 4;
const hung = 1;

/** Compares eight standbys, of which four refuse connections and one hangs, with the three others alone. */
export async function measureOutage({ major, options, say }: BenchContext): Promise<Table> {
  const runs = { alone: [] as Outage[], among: [] as Outage[] };
  const copies: number[] = [];
  return withSite(
    { major, standbys, load: (primary) => runPgbench(primary, options.fanOutSegments) },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const kind of inTurn(['alone', 'among'] as const, round)) {
          const result = await drainWith(site, kind);
          runs[kind].push(result);
          say(
            `outage ${String(round)}/${String(options.rounds)} ${kind}: living have all after ${seconds(result.deliveredSeconds)}`,
          );
        }
        copies.push(await secondsOfLocalCopy(site));
      }
      return outageTable(site, runs.alone, runs.among, median(copies));
    },
  );
}

async function drainWith(site: Site, kind: 'alone' | 'among'): Promise<Outage> {
  await site.restore();
  const living = site.standbys.slice(dead + hung);
  // The bad standbys come first: a tool that handles one after another loses time by them.
  const listed = kind === 'among' ? site.standbys : living;
  listStandbys(site, listed);
  const log = join(site.primary.host.directory, 'calls.log');
  rmSync(log, { force: true });
  const command = writeScript(site.primary.host, 'timed', timedScript(site, log));
  await breakStandbys(site.standbys);
  await touchMemory(site.world.directory, 4_000);
  try {
    const start = performance.now();
    await useCommand(site, `${command} %p`);
    const [deliveredSeconds, archivedSeconds] = await Promise.all([
      secondsUntil(start, () => haveAll(site, living), 'all at the living standbys'),
      secondsUntil(start, () => isArchived(site, site.backlog), 'all archived'),
    ]);
    return { deliveredSeconds, archivedSeconds, longestCallSeconds: longest(log) };
  } finally {
    await site.quiet();
    await mendStandbys(site.standbys);
  }
}

function haveAll(site: Site, some: readonly Standby[]): boolean {
  return some.every(({ archiveDir }) => holdsAll(archiveDir, site.backlog, site.segmentBytes));
}

/** The two calls of date in this command are part of both kinds of runs. */
function timedScript(site: Site, log: string): string {
  return `from=$(date +%s%N)
${archiverCommand(site).replace('%p', '"$1"')}
status=$?
echo $(($(date +%s%N) - from)) >>'${log}'
exit $status`;
}

function longest(log: string): number {
  return Math.max(...readFileSync(log, 'utf8').trim().split('\n').map(Number)) / 1e9;
}

async function breakStandbys(all: readonly Standby[]): Promise<void> {
  for (const { host } of all.slice(0, dead)) await host.sshd.kill();
  for (const { host } of all.slice(dead, dead + hung)) host.sshd.freeze();
}

async function mendStandbys(all: readonly Standby[]): Promise<void> {
  for (const { host } of all.slice(dead, dead + hung)) host.sshd.thaw();
  for (const { host } of all.slice(0, dead)) await host.sshd.start();
}

/** The least cost of a queue: each segment is written once more and flushed. */
async function secondsOfLocalCopy(site: Site): Promise<number> {
  const target = join(site.world.directory, 'copy');
  const start = performance.now();
  await mustRun('/bin/sh', [
    '-c',
    `mkdir '${target}' && cd '${site.primary.pgdata}/pg_wal' && for name; do dd if="$name" of='${target}/'"$name" bs=1M conv=fsync status=none || exit; done`,
    'sh',
    ...site.backlog,
  ]);
  const took = (performance.now() - start) / 1000;
  rmSync(target, { recursive: true });
  return took;
}

function outageTable(
  site: Site,
  alone: readonly Outage[],
  among: readonly Outage[],
  copySeconds: number,
): Table {
  const of = (runs: readonly Outage[], key: keyof Outage): number => median(runs.map((run) => run[key]));
  const row = (label: string, runs: readonly Outage[]): string[] => [
    label,
    seconds(of(runs, 'archivedSeconds')),
    seconds(of(runs, 'deliveredSeconds')),
    seconds(of(runs, 'longestCallSeconds')),
    ratio(over(of(runs, 'deliveredSeconds'), of(alone, 'deliveredSeconds'))),
    ratio(over(of(runs, 'deliveredSeconds'), 1.2 * of(alone, 'deliveredSeconds') + copySeconds)),
  ];
  return {
    title: `${String(standbys)} standbys, ${String(dead)} of them dead and ${String(hung)} hanging (${String(site.backlog.length)} segments of 16 MB)`,
    note: `Medians; delivered: all are at the three living ones. One local copy of the backlog, flushed, takes ${seconds(copySeconds)}; the last column divides by 1.2 × alone + that copy.`,
    columns: ['list of standbys', 'archived', 'delivered', 'longest call', '÷ alone', '÷ bound'],
    rows: [row('the three living ones alone', alone), row('all eight', among)],
    samples: { alone, among, copySeconds },
  };
}
