// scripts/bench, inside the sandbox: measures part after part, prints each table and saves all of them.
import { cpus, release } from 'node:os';
import { serverProgram } from '../../../test/harness/postgres-programs.ts';
import { run } from '../../../test/harness/processes.ts';
import { measureBaseBackup } from './base-backup.ts';
import { measureCall } from './call.ts';
import { type BenchContext, measureDrain } from './drain.ts';
import { measureDrill } from './drill.ts';
import { measureDrillCost } from './drill-cost.ts';
import { measureFanOut } from './fan-out.ts';
import { measureLag } from './lag.ts';
import { cpuMethod } from './measure.ts';
import { parseOptions, type Part } from './options.ts';
import { measureOutage } from './outage.ts';
import { measureCompressedQueue } from './queue-compress.ts';
import { measureQueued } from './queued.ts';
import { measureRejoin } from './rejoin.ts';
import { repmgrProgram } from './repmgr.ts';
import { type Report, saveReport, type Table, tableText } from './report.ts';
import { measureStart } from './start.ts';
import { measureStatus } from './status.ts';
import { measureSwitchover } from './switchover.ts';

type Measure = (context: BenchContext) => Promise<Table>;

const measures: Record<Part, Measure | readonly Measure[]> = {
  drain: measureDrain,
  lag: measureLag,
  call: measureCall,
  'fan-out': measureFanOut,
  outage: measureOutage,
  queued: [measureQueued, measureCompressedQueue],
  'base-backup': measureBaseBackup,
  switchover: measureSwitchover,
  rejoin: measureRejoin,
  drill: measureDrill,
  'drill-cost': measureDrillCost,
  start: measureStart,
  status: measureStatus,
};

async function main(): Promise<void> {
  const began = new Date();
  const major = Number(process.env['PITRTOOLS_BENCH_MAJOR'] ?? '15');
  const options = parseOptions(process.argv.slice(2));
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  const about = await machine(major, began);
  const tables: Table[] = [];
  for (const part of options.parts) {
    for (const measure of [measures[part]].flat()) {
      const table = await measure({ major, options, say });
      process.stdout.write(`${tableText(table)}\n\n`);
      tables.push(table);
      save({ about, tables });
    }
  }
}

function save(report: Report): void {
  const directory = process.env['PITRTOOLS_BENCH_OUT'];
  if (directory !== undefined) saveReport(report, directory);
}

async function machine(major: number, began: Date): Promise<Record<string, string>> {
  const [processor] = cpus();
  return {
    date: began.toISOString().slice(0, 16).replace('T', ' '),
    machine: `${String(cpus().length)} × ${processor?.model.trim() ?? 'processor'}, Linux ${release().replace(/^(\d+\.\d+).*/, '$1')}`,
    versions: (await versions(major)).join('; '),
    revision: process.env['PITRTOOLS_BENCH_REVISION'] ?? 'unknown',
    'processor time': cpuMethod(),
    memory: "private memory of all processes but PostgreSQL's, largest sum seen at 100 ms",
  };
}

async function versions(major: number): Promise<string[]> {
  const commands = [
    [serverProgram(major, 'postgres'), '--version'],
    ['rsync', '--version'],
    ['pgbackrest', 'version'],
    ['barman-wal-archive', '--version'],
    [repmgrProgram(major), '--version'],
  ];
  const answers: string[] = [`Node ${process.versions.node}`];
  for (const [program = '', ...args] of commands) {
    const answer = await run(program, args).catch(() => undefined);
    const line = answer?.code === 0 ? answer.stdout.split('\n')[0] : undefined;
    if (line !== undefined) answers.push(line.replace(/\s+/g, ' ').trim());
  }
  return answers;
}

await main();
