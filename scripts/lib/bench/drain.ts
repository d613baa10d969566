import { mustRun } from '../../../test/harness/processes.ts';
import { secondsUntil, startMeter, touchMemory, type Usage } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { againstOther } from './pairs.ts';
import { megabytes, ratio, seconds, type Table } from './report.ts';
import { runPgbench, type Site, waiting, withSite } from './site.ts';
import { median } from './statistics.ts';
import { availableTools, type Tool } from './tools.ts';

interface Drain extends Usage {
  readonly archivedSeconds: number | undefined;
  readonly deliveredSeconds: number;
}

export interface BenchContext {
  readonly major: number;
  readonly options: BenchOptions;
  readonly say: (text: string) => void;
}

export async function measureDrain({ major, options, say }: BenchContext): Promise<Table> {
  const { tools, missing } = availableTools(options.tools);
  const results = new Map<string, Drain[]>(tools.map(({ name }) => [name, []]));
  return withSite(
    {
      major,
      standbys: 1,
      prepare: (ground) => prepareAll(tools, ground),
      load: (primary) => runPgbench(primary, options.segments),
    },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const tool of inTurn(tools, round)) {
          const result = await drainOnce(site, tool).catch((error: unknown) => String(error));
          if (typeof result === 'string') {
            // If a tool cannot do this here, the others must still be measured.
            say(`drain ${tool.label} FAILED: ${result}\n${site.primary.logText().slice(-600)}`);
            continue;
          }
          results.get(tool.name)?.push(result);
          say(
            `drain ${String(round)}/${String(options.rounds)} ${tool.label}: archived ${seconds(result.archivedSeconds)}, ` +
              `delivered ${seconds(result.deliveredSeconds)}, CPU ${seconds(result.cpuSeconds)}, ${megabytes(result.peakMemoryMb)}`,
          );
        }
      }
      return drainTable(site, tools, missing, results);
    },
  );
}

export async function prepareAll(
  tools: readonly Tool[],
  ground: Parameters<NonNullable<Tool['prepare']>>[0],
): Promise<void> {
  for (const tool of tools) await tool.prepare?.(ground);
}

/** Each round begins with another tool, so that no tool always follows the same one. */
export function inTurn<T>(items: readonly T[], round: number): T[] {
  const first = (round - 1) % Math.max(1, items.length);
  return [...items.slice(first), ...items.slice(0, first)];
}

async function drainOnce(site: Site, tool: Tool): Promise<Drain> {
  await site.restore();
  await tool.open?.(site);
  await touchMemory(site.world.directory, 2_000);
  const meter = startMeter();
  const start = performance.now();
  const end =
    tool.sendAll === undefined ? await archiveAll(site, tool, start) : await sendAll(site, tool, start);
  const usage = meter.stop();
  await verify(site);
  await site.quiet();
  return { ...end, ...usage };
}

type Ends = Pick<Drain, 'archivedSeconds' | 'deliveredSeconds'>;

async function archiveAll(site: Site, tool: Tool, start: number): Promise<Ends> {
  tool.begin?.(site);
  await useCommand(site, tool.archiveCommand(site));
  const [archivedSeconds, deliveredSeconds] = await Promise.all([
    secondsUntil(
      start,
      () => isArchived(site, site.backlog),
      `${tool.label}: all archived; ${site.primary.log}`,
    ),
    secondsUntil(start, () => tool.isDelivered(site, site.backlog), `${tool.label}: all at the standby`),
  ]);
  return { archivedSeconds, deliveredSeconds };
}

async function sendAll(site: Site, tool: Tool, start: number): Promise<Ends> {
  await tool.sendAll?.(site);
  const deliveredSeconds = await secondsUntil(start, () => tool.isDelivered(site, site.backlog), tool.label);
  return { archivedSeconds: undefined, deliveredSeconds };
}

export async function useCommand({ primary }: Pick<Site, 'primary'>, command: string): Promise<void> {
  primary.configure({ archive_command: command });
  await primary.reload();
}

export function isArchived({ primary }: Pick<Site, 'primary'>, segments: readonly string[]): boolean {
  const left = new Set(waiting(primary));
  return segments.every((name) => !left.has(name));
}

/** Compares archivedir with pg_wal byte by byte: the speed of a tool that loses bytes would mean nothing. */
export async function verify(site: Site): Promise<void> {
  for (const { archiveDir } of site.standbys) {
    await mustRun('/bin/sh', [
      '-c',
      `cd '${archiveDir}' && for name in [0-9A-F]*; do [ ! -e "$name" ] || cmp "$name" '${site.primary.pgdata}/pg_wal/'"$name" || exit; done`,
    ]);
  }
}

function drainTable(
  site: Site,
  tools: readonly Tool[],
  missing: readonly Tool[],
  results: ReadonlyMap<string, readonly Drain[]>,
): Table {
  const of = (name: string, key: keyof Drain): number | undefined => middle(results.get(name) ?? [], key);
  const all = (key: keyof Drain) => (name: string) => valuesOf(results.get(name) ?? [], key);
  const base = tools[0]?.name ?? '';
  const row = ({ name, label }: Tool): string[] => [
    label,
    seconds(of(name, 'archivedSeconds')),
    seconds(of(name, 'deliveredSeconds')),
    seconds(of(name, 'cpuSeconds')),
    megabytes(of(name, 'peakMemoryMb')),
    ratio(over(of(name, 'archivedSeconds'), of(base, 'archivedSeconds'))),
    ratio(over(of(name, 'deliveredSeconds'), of(base, 'deliveredSeconds'))),
    ratio(over(of(name, 'cpuSeconds'), of(base, 'cpuSeconds'))),
  ];
  const count = String(site.backlog.length);
  return {
    title: `Draining a backlog of ${count} segments of 16 MB to one standby`,
    note:
      'Medians. Archived: archive_command has succeeded for all of them; delivered: all are at the standby, whole, under their final ' +
      'names. The last columns say how many times what the first row takes.' +
      againstOther([...results.keys()], {
        archived: all('archivedSeconds'),
        delivered: all('deliveredSeconds'),
        CPU: all('cpuSeconds'),
      }),
    columns: ['tool', 'archived', 'delivered', 'CPU', 'memory', 'archived ×', 'delivered ×', 'CPU ×'],
    rows: [...tools.map(row), ...missing.map(absentRow(8))],
    samples: Object.fromEntries(results),
  };
}

function absentRow(columns: number): (tool: Tool) => string[] {
  return ({ label }) => [`${label}: not installed`, ...Array.from({ length: columns - 1 }, () => '–')];
}

function valuesOf(runs: readonly Drain[], key: keyof Drain): number[] {
  return runs.flatMap((run) => run[key] ?? []);
}

function middle(runs: readonly Drain[], key: keyof Drain): number | undefined {
  const values = valuesOf(runs, key);
  return values.length === 0 ? undefined : median(values);
}

export function over(value: number | undefined, base: number | undefined): number | undefined {
  return value === undefined || base === undefined ? undefined : value / base;
}
