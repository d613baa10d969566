import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../../../test/harness/checkout.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import { type BenchContext, over, prepareAll } from './drain.ts';
import { secondsUntil } from './measure.ts';
import { againstOther, twinOf } from './pairs.ts';
import { pgBackRest, pushCommand } from './pgbackrest.ts';
import { milliseconds, ratio, type Table } from './report.ts';
import { runPgbench, type Site, withSite } from './site.ts';
import { percentile } from './statistics.ts';
import { archiverCommand, otherCheckout, startShipper } from './tools.ts';
import { timeInTurn } from './turns.ts';

const ourCall = 'cmd_archiver, marker there';

/** Measures the cost of one call whose segment is safe already: the most frequent call of all. */
export async function measureCall({ major, options, say }: BenchContext): Promise<Table> {
  const peer = pgBackRest('async');
  const hasPeer = peer.needs !== undefined && existsSync(peer.needs);
  return withSite(
    {
      major,
      standbys: 1,
      prepare: (ground) => (hasPeer ? prepareAll([peer], ground) : Promise.resolve()),
      load: (primary) => runPgbench(primary, 3),
    },
    async (site) => {
      await site.restore();
      const [segment = ''] = site.backlog;
      const commands = new Map([
        ['/bin/true', '/bin/true'],
        [ourCall, forSegment(await safeByShipper(site, segment), segment)],
      ]);
      if (otherCheckout !== undefined)
        commands.set(twinOf(ourCall), forSegment(archiverCommand(site, otherCheckout), segment));
      if (hasPeer)
        commands.set('pgBackRest async, segment pushed already', await pushedByPeer(site, segment));
      const times = await timeInTurn([...commands.values()], options.calls, {
        cwd: site.primary.pgdata,
        env: site.primary.env,
      });
      say(`call: ${String(options.calls)} each`);
      return callTable([...commands.keys()], times, options.calls);
    },
  );
}

function forSegment(command: string, segment: string): string {
  return command.replace('%p', `pg_wal/${segment}`);
}

/** The how-to's INI file with this site's values. The shell has to read through its comments in their order. */
function useHowToIni({ primary }: Site): void {
  const here = readFileSync(primary.iniFile, 'utf8');
  const values = new Map(
    [...here.matchAll(/^(\w+): (.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
  );
  const text = readFileSync(checkout('test', 'fixtures', 'ini', 'how-to-archiver.ini'), 'utf8');
  const line = /^( *)(\w+)( *[:=] *)(.*)$/gm;
  const own = text.replace(line, (whole, indent: string, key: string, separator: string) => {
    const value = values.get(key);
    return value === undefined ? whole : `${indent}${key}${separator}${value}`;
  });
  writeFileSync(primary.iniFile, own);
}

/** PostgreSQL does not ask during the measurement, so the marker stays. */
async function safeByShipper(site: Site, segment: string): Promise<string> {
  useHowToIni(site);
  startShipper(site);
  const marker = join(site.primary.lArchiveDir, '.archiver', 'current', segment);
  await secondsUntil(performance.now(), () => existsSync(marker), `marker of ${segment}`);
  return archiverCommand(site);
}

async function pushedByPeer(site: Site, segment: string): Promise<string> {
  const command = forSegment(pushCommand(site, 'async'), segment);
  await mustRun('/bin/sh', ['-c', command], { cwd: site.primary.pgdata, env: site.primary.env });
  return command;
}

function callTable(labels: readonly string[], times: readonly (readonly number[])[], calls: number): Table {
  const ms = (place: number, share: number): number => percentile(times[place] ?? [], share) / 1000;
  const rows = labels.map((label, place) => [
    label,
    ...[0.5, 0.95, 0.99].map((share) => milliseconds(ms(place, share))),
    ratio(over(ms(place, 0.5), ms(1, 0.5))),
  ]);
  const against = againstOther(labels, { 'a call': (label) => times[labels.indexOf(label)] ?? [] });
  return {
    title: 'One call that finds its segment safe already',
    note: `sh -c COMMAND, as PostgreSQL calls it, ${String(calls)} times each, one after the other in turn; cmd_archiver with the INI file of the how-to.${against}`,
    columns: ['command', 'p50', 'p95', 'p99', 'p50 ÷ cmd_archiver'],
    rows,
    samples: Object.fromEntries(labels.map((label, place) => [label, times[place]])),
  };
}
