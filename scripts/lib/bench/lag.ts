import { setImmediate as turn } from 'node:timers/promises';
import { type BenchContext, inTurn, isArchived, over, prepareAll, useCommand } from './drain.ts';
import { secondsUntil } from './measure.ts';
import { againstOther } from './pairs.ts';
import { milliseconds, ratio, type Table } from './report.ts';
import { runPgbench, type Site, withSite } from './site.ts';
import { percentile } from './statistics.ts';
import { availableTools, type Tool } from './tools.ts';

/** From the switch of one segment, in milliseconds. */
interface Lag {
  readonly wholeMs: number;
  /** Undefined for a tool that never says that it has flushed the segment. */
  readonly flushedMs: number | undefined;
}

/** Measures the time from the switch of a segment until the segment is complete at the standby, with no other load. */
export async function measureLag({ major, options, say }: BenchContext): Promise<Table> {
  const { tools } = availableTools(options.tools);
  // The variant that is started as a service is left out, because once it runs it is the same tool. So is the one that
  // sends everything at once, because nothing is waiting.
  const measured = tools.filter(({ sendAll, begin }) => sendAll === undefined && begin === undefined);
  const lags = new Map<string, Lag[]>(measured.map(({ name }) => [name, []]));
  const medians = new Map<string, number[]>(measured.map(({ name }) => [name, []]));
  await withSite(
    {
      major,
      standbys: 1,
      prepare: (ground) => prepareAll(measured, ground),
      load: (primary) => runPgbench(primary, 1),
    },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const tool of inTurn(measured, round)) {
          const found = await lagsOf(site, tool, Math.ceil(options.switches / options.rounds)).catch(
            (error: unknown) => String(error),
          );
          if (typeof found === 'string') say(`lag ${tool.label} FAILED: ${found}`);
          else {
            lags.get(tool.name)?.push(...found);
            const p50 = percentile(
              found.map(({ wholeMs }) => wholeMs),
              0.5,
            );
            medians.get(tool.name)?.push(p50);
            say(`lag ${String(round)}/${String(options.rounds)} ${tool.label}: p50 ${milliseconds(p50)}`);
          }
        }
      }
    },
  );
  const against = againstOther([...medians.keys()], { "a round's p50": (name) => medians.get(name) ?? [] });
  return lagTable(measured, lags, against);
}

async function lagsOf(site: Site, tool: Tool, switches: number): Promise<Lag[]> {
  await site.restore();
  await tool.open?.(site);
  await useCommand(site, tool.archiveCommand(site));
  await secondsUntil(performance.now(), () => isArchived(site, site.backlog), `${tool.label}: archived`);
  const lags: Lag[] = [];
  // The first segment pays for connections that are opened once.
  for (let number = 0; number <= switches; number++) {
    const lag = await lagOfOne(site, tool);
    if (number > 0) lags.push(lag);
  }
  await site.quiet();
  return lags;
}

async function lagOfOne(site: Site, tool: Tool): Promise<Lag> {
  const { segment, start } = await switchSegment(site);
  const { isDelivered, isFlushed } = tool;
  const wholeMs = await msUntil(start, () => isDelivered(site, [segment]), `${tool.label} does not deliver`);
  const flushedMs =
    isFlushed && (await msUntil(start, () => isFlushed(site, [segment]), `${tool.label} does not flush`));
  await secondsUntil(performance.now(), () => isArchived(site, [segment]), `${segment} archived`);
  return { wholeMs, flushedMs };
}

async function msUntil(start: number, isReached: () => boolean, trouble: string): Promise<number> {
  while (!isReached()) {
    if (performance.now() - start > 60_000) throw new Error(trouble);
    await turn();
    await pause();
  }
  return performance.now() - start;
}

/** A timer is no finer than one millisecond, and polling without a pause would take a processor from the tool. */
function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}

/** Writes some rows, then switches the segment. The clock starts when the switch was answered. */
function switchSegment({ primary }: Site): Promise<{ segment: string; start: number }> {
  return primary.withSession(async (client) => {
    await client.query('UPDATE pgbench_tellers SET tbalance = tbalance + 1');
    const { rows } = await client.query<{ name: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS name');
    return { segment: rows[0]?.name ?? '', start: performance.now() };
  });
}

function lagTable(tools: readonly Tool[], lags: ReadonlyMap<string, readonly Lag[]>, against: string): Table {
  const valuesOf = (name: string, what: keyof Lag): readonly number[] =>
    (lags.get(name) ?? []).flatMap((lag) => lag[what] ?? []);
  const at = (name: string, what: keyof Lag, share: number): number | undefined => {
    const values = valuesOf(name, what);
    return values.length === 0 ? undefined : percentile(values, share);
  };
  const relation = (name: string, what: keyof Lag, share: number): string =>
    ratio(over(at(name, what, share), at('rsync-kept-sync', 'flushedMs', share)));
  const each = Math.max(...[...lags.values()].map(({ length }) => length));
  return {
    title: 'Lag of one switched segment',
    note: `From the answer of pg_switch_wal() until the segment is whole at the standby, and until the tool has said that it is flushed there; ${String(each)} each. The last columns divide by the same percentile of rsync over a kept ssh with a flush over it.${against}`,
    columns: [
      'tool',
      'p50',
      'p95',
      'p99',
      'flushed p50',
      'flushed p99',
      'p50 ×',
      'flushed p50 ×',
      'flushed p99 ×',
    ],
    rows: tools.map(({ name, label }) => [
      label,
      ...[0.5, 0.95, 0.99].map((share) => milliseconds(at(name, 'wholeMs', share))),
      ...[0.5, 0.99].map((share) => milliseconds(at(name, 'flushedMs', share))),
      relation(name, 'wholeMs', 0.5),
      ...[0.5, 0.99].map((share) => relation(name, 'flushedMs', share)),
    ]),
    samples: Object.fromEntries(lags),
  };
}
