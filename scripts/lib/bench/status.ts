import { checkout } from '../../../test/harness/checkout.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import type { BenchContext } from './drain.ts';
import { milliseconds, type Table } from './report.ts';
import { runPgbench, withSite } from './site.ts';
import { median, percentile } from './statistics.ts';
import { startShipper } from './tools.ts';
import { timeInTurn } from './turns.ts';

/** Each call takes much longer than one of archive_command. */
const callsPart = 10;

/** Measures the local view of --status beside the start of Node alone, and beside that of the program. */
export async function measureStatus({ major, options, say }: BenchContext): Promise<Table> {
  const calls = Math.max(5, Math.round(options.calls / callsPart));
  return withSite({ major, standbys: 1, load: (primary) => runPgbench(primary, 3) }, async (site) => {
    await site.restore();
    startShipper(site);
    const { primary } = site;
    const where = { cwd: '/', env: primary.env };
    const program = `${checkout('bin', 'cmd_archiver')} -C ${primary.iniFile}`;
    const commands = new Map([
      ['node, an empty program', `'${process.execPath}' -e 0`],
      ['cmd_archiver --version', `${checkout('bin', 'cmd_archiver')} --version >/dev/null`],
      // Its status says what it found.
      ['cmd_archiver --status', `{ ${program} --status || :; } >/dev/null`],
    ]);
    const seen = await mustRun('/bin/sh', ['-c', `${program} --status || :`], where);
    if (!seen.includes('standby')) throw new Error(`no table: ${seen}`);
    const times = await timeInTurn([...commands.values()], calls, where);
    say(`status: ${String(calls)} each`);
    return statusTable([...commands.keys()], times, calls);
  });
}

function statusTable(labels: readonly string[], times: readonly (readonly number[])[], calls: number): Table {
  const [ofNode = []] = times;
  const rows = labels.map((label, index) => {
    const own = times[index] ?? [];
    const more = median(own.map((value, turn) => value - (ofNode[turn] ?? NaN)));
    return [
      label,
      ...[0.5, 0.95].map((share) => milliseconds(percentile(own, share) / 1000)),
      index === 0 ? '–' : milliseconds(more / 1000),
    ];
  });
  return {
    title: 'The local view of --status',
    note: `${String(calls)} times each, in turn, with the shipper running and PostgreSQL answering. The last column is the median of the differences to an empty program in the same turn.`,
    columns: ['command', 'p50', 'p95', "more than Node's start"],
    rows,
    samples: Object.fromEntries(labels.map((label, index) => [label, times[index]])),
  };
}
