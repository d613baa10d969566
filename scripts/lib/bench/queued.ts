import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Primary } from '../../../test/harness/primary.ts';
import { processesOf } from '../../../test/harness/process-table.ts';
import { type BenchContext, over, useCommand } from './drain.ts';
import { highWaterMb, secondsUntil } from './measure.ts';
import { megabytes, milliseconds, ratio, seconds, type Table } from './report.ts';
import { type Site, withSite } from './site.ts';
import { archiverCommand, startShipper } from './tools.ts';

interface Queued {
  readonly count: number;
  readonly queueSeconds: number;
  readonly deliverSeconds: number;
  readonly memoryMb: number;
}

/** Compares a queue of a few segments with one of very many: each segment must cost the same. */
export async function measureQueued(context: BenchContext): Promise<Table> {
  const runs: Queued[] = [];
  for (const count of context.options.queued) {
    const same: Queued[] = [];
    // A short measurement needs more than one run.
    while (same.length < (count < 200 ? 3 : 1)) {
      same.push(await queueAndDeliver(context, count));
      context.say(`queued ${String(count)}: delivered in ${seconds(same.at(-1)?.deliverSeconds)}`);
    }
    same.sort((a, b) => a.deliverSeconds - b.deliverSeconds);
    runs.push(...same.slice(same.length >> 1, (same.length >> 1) + 1));
  }
  return queuedTable(runs);
}

function queueAndDeliver({ major }: BenchContext, count: number): Promise<Queued> {
  return withSite(
    { major, standbys: 1, walSegmentMb: 1, load: (primary) => switchMany(primary, count) },
    async (site) => {
      const [standby] = site.standbys;
      if (standby === undefined) throw new Error('no standby');
      await site.restore();
      await standby.host.sshd.kill();
      startShipper(site);
      const start = performance.now();
      await useCommand(site, archiverCommand(site));
      const queueSeconds = await secondsUntil(
        start,
        () => isThere(queueDirectory(site), site.backlog),
        'all queued',
      );
      await standby.host.sshd.start();
      const deliverSeconds = await deliver(site, standby.archiveDir);
      const memoryMb = shipperMemoryMb(site);
      await site.quiet();
      return { count: site.backlog.length, queueSeconds, deliverSeconds, memoryMb };
    },
  );
}

/**
 * The clock starts at the shipper's first contact with the standby. Until then, only the lane's pause between its
 * attempts would be measured.
 */
export async function deliver(site: Site, archive: string): Promise<number> {
  const inbox = join(archive, '.incoming');
  await secondsUntil(performance.now(), () => existsSync(inbox), 'the standby greeted');
  return secondsUntil(performance.now(), () => isThere(archive, site.backlog), 'the queue delivered');
}

export function queueDirectory({ primary, standbys }: Site): string {
  return join(primary.lArchiveDir, standbys[0]?.name ?? '');
}

/** Looks only for the last name. Listing ten thousand names this often would take half a processor from the tool. */
function isThere(directory: string, segments: readonly string[]): boolean {
  if (!existsSync(join(directory, segments.at(-1) ?? ''))) return false;
  const names = new Set(readdirSync(directory));
  return segments.every((name) => names.has(name));
}

/** The most memory that the site's shipper has had since its start. */
export function shipperMemoryMb(site: Site): number {
  const shippers = processesOf(site.primary.host.directory).filter(({ commandLine }) =>
    /cmd-archiver\.js .*--ship/.test(commandLine),
  );
  return Math.max(...shippers.map(({ pid }) => highWaterMb(pid)));
}

async function switchMany(primary: Primary, count: number): Promise<void> {
  await primary.withSession(async (client) => {
    await client.query('CREATE TABLE filler (text text)');
    for (let number = 0; number < count; number++) {
      await client.query('INSERT INTO filler SELECT md5(random()::text) FROM generate_series(1, 100)');
      await client.query('SELECT pg_switch_wal()');
    }
  });
}

function queuedTable(runs: readonly Queued[]): Table {
  const [few] = runs;
  const each = (run: Queued | undefined, key: 'queueSeconds' | 'deliverSeconds'): number | undefined =>
    run === undefined ? undefined : (run[key] / run.count) * 1000;
  return {
    title: 'A long queue of segments of 1 MB',
    note: 'The standby is down until all are queued; the short queue three times, of which the middle one is shown. Delivered: from the first word to the standby that is back to the last arrival. Memory: the most that the shipper has had.',
    columns: ['segments', 'queued, each', 'delivered, each', 'memory', 'queued ×', 'delivered ×', 'memory ×'],
    rows: runs.map((run) => [
      String(run.count),
      milliseconds(each(run, 'queueSeconds')),
      milliseconds(each(run, 'deliverSeconds')),
      megabytes(run.memoryMb),
      ratio(over(each(run, 'queueSeconds'), each(few, 'queueSeconds'))),
      ratio(over(each(run, 'deliverSeconds'), each(few, 'deliverSeconds'))),
      ratio(over(run.memoryMb, few?.memoryMb)),
    ]),
    samples: runs,
  };
}
