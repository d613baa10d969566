import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchContext, inTurn, over, useCommand, verify } from './drain.ts';
import { secondsUntil, startMeter, type Usage } from './measure.ts';
import { deliver, queueDirectory, shipperMemoryMb } from './queued.ts';
import { megabytes, milliseconds, ratio, seconds, type Table } from './report.ts';
import { runPgbench, type Site, withSite } from './site.ts';
import { median } from './statistics.ts';
import { archiverCommand, startShipper } from './tools.ts';

const kinds = ['off', 'on'] as const;
type Kind = (typeof kinds)[number];

interface Drained extends Usage {
  readonly queueSeconds: number;
  readonly diskMb: number;
  readonly deliverSeconds: number;
  /** The most that the shipper has had since its start. */
  readonly memoryMb: number;
}

/** Compares a queue with queue_compress and one without: what pgbench writes, in segments of 16 MB. */
export async function measureCompressedQueue({ major, options, say }: BenchContext): Promise<Table> {
  const runs: Record<Kind, Drained[]> = { off: [], on: [] };
  return withSite(
    { major, standbys: 1, load: (primary) => runPgbench(primary, options.queuedSegments) },
    async (site) => {
      for (let round = 1; round <= options.rounds; round++) {
        for (const kind of inTurn(kinds, round)) {
          const run = await queueAndDrain(site, kind);
          runs[kind].push(run);
          say(
            `queued ${String(round)}/${String(options.rounds)}, queue_compress: ${kind}: ${megabytes(run.diskMb)}, delivered in ${seconds(run.deliverSeconds)}`,
          );
        }
      }
      return compressTable(site, runs);
    },
  );
}

async function queueAndDrain(site: Site, kind: Kind): Promise<Drained> {
  const [standby] = site.standbys;
  if (standby === undefined) throw new Error('no standby');
  await site.restore();
  await standby.host.sshd.kill();
  site.primary.writeIni({ queue_compress: kind });
  startShipper(site);
  const start = performance.now();
  await useCommand(site, archiverCommand(site));
  const queue = queueDirectory(site);
  const queueSeconds = await secondsUntil(start, () => isQueued(queue, site.backlog), 'all queued');
  const diskMb = allocatedMb(queue);
  const meter = startMeter();
  await standby.host.sshd.start();
  const deliverSeconds = await deliver(site, standby.archiveDir);
  const usage = meter.stop();
  const memoryMb = shipperMemoryMb(site);
  await verify(site);
  await site.quiet();
  return { ...usage, queueSeconds, diskMb, deliverSeconds, memoryMb };
}

function isQueued(queue: string, segments: readonly string[]): boolean {
  if (!existsSync(queue)) return false;
  const names = new Set(readdirSync(queue));
  return segments.every((name) => names.has(name) || names.has(`${name}.zst`));
}

/** What the file system has given them, which is more than their length. */
function allocatedMb(directory: string): number {
  const blocks = readdirSync(directory).reduce(
    (sum, name) => sum + statSync(join(directory, name)).blocks,
    0,
  );
  return (blocks * 512) / 1024 / 1024;
}

function compressTable({ backlog }: Site, runs: Readonly<Record<Kind, readonly Drained[]>>): Table {
  const middle = (kind: Kind, key: keyof Drained): number | undefined => {
    const values = runs[kind].map((run) => run[key]).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  const against = (kind: Kind, key: keyof Drained): string =>
    ratio(over(middle(kind, key), middle('off', key)));
  const each = (kind: Kind): number | undefined => {
    const value = middle(kind, 'queueSeconds');
    return value === undefined ? undefined : (value / backlog.length) * 1000;
  };
  return {
    title: `A queue of ${String(backlog.length)} segments of 16 MB, compressed or not`,
    note: "pgbench's WAL; the standby is down until all are queued. Delivered: from the first word to the standby that is back to the last arrival; CPU meanwhile, of both hosts. Memory: the most that the shipper has had. Then all bytes are compared.",
    columns: [
      'queue_compress',
      'disk',
      'queued, each',
      'delivered',
      'CPU',
      'memory',
      'disk ×',
      'delivered ×',
      'CPU ×',
      'memory ×',
    ],
    rows: kinds.map((kind) => [
      kind,
      megabytes(middle(kind, 'diskMb')),
      milliseconds(each(kind)),
      seconds(middle(kind, 'deliverSeconds')),
      seconds(middle(kind, 'cpuSeconds')),
      megabytes(middle(kind, 'memoryMb')),
      against(kind, 'diskMb'),
      against(kind, 'deliverSeconds'),
      against(kind, 'cpuSeconds'),
      against(kind, 'memoryMb'),
    ]),
    samples: runs,
  };
}
