import { existsSync } from 'node:fs';
import { messageOf } from '../../../src/errors.ts';
import {
  type BackupSite,
  changeOnePercent,
  changeOneTable,
  fillByPgbench,
  makeFiles,
  makeTables,
  settle,
  withBackupSite,
} from './base-backup-site.ts';
import { type BackupTool, baseBackupTools } from './base-backup-tools.ts';
import { type BenchContext, inTurn, over } from './drain.ts';
import { startMeter, type Usage } from './measure.ts';
import { megabytes, ratio, seconds, type Table } from './report.ts';
import { median } from './statistics.ts';

type Case = 'first' | 'again' | 'one table' | 'tables' | 'few files' | 'many files';

interface Sample extends Usage {
  readonly seconds: number;
}

type Samples = Map<string, Map<Case, Sample[]>>;

function chosenTools({ options }: BenchContext): readonly BackupTool[] {
  const isThere = ({ needs }: BackupTool): boolean => needs === undefined || existsSync(needs);
  const { backupTools: wanted } = options;
  const isWanted = ({ name }: BackupTool): boolean => wanted.length === 0 || wanted.includes(name);
  return baseBackupTools.filter((tool) => isThere(tool) && isWanted(tool));
}

/** Makes one measured run. If a tool cannot make it here, the others must still be measured. */
async function measure(
  context: BenchContext,
  samples: Samples,
  tool: BackupTool,
  name: Case,
  run: () => Promise<void>,
): Promise<void> {
  const meter = startMeter();
  const began = performance.now();
  let failure: string | undefined;
  await run().catch((error: unknown) => {
    failure = messageOf(error);
  });
  const sample = { seconds: (performance.now() - began) / 1000, ...meter.stop() };
  if (failure !== undefined) {
    context.say(`base-backup ${name} ${tool.label} FAILED: ${failure}`);
    return;
  }
  context.say(
    `base-backup ${name} ${tool.label}: ${seconds(sample.seconds)}, CPU ${seconds(sample.cpuSeconds)}, ${megabytes(sample.peakMemoryMb)}`,
  );
  const ofTool = samples.get(tool.name) ?? new Map<Case, Sample[]>();
  samples.set(tool.name, ofTool.set(name, [...(ofTool.get(name) ?? []), sample]));
}

/** One of them is 1 % of the files. */
const largeTables = 100;

async function firstAndAgain(
  context: BenchContext,
  site: BackupSite,
  bytes: number,
  samples: Samples,
): Promise<void> {
  const megabytesOfCopy = Math.ceil(bytes / 1e6);
  const tools = chosenTools(context);
  for (const tool of tools) await tool.prepare?.(site);
  let changes = 0;
  for (let round = 1; round <= context.options.backupRounds; round += 1) {
    for (const tool of inTurn(tools, round)) {
      if (round > 1 && tool.isAside === true) continue;
      tool.clear(site);
      await settle(site, megabytesOfCopy);
      await measure(context, samples, tool, 'first', () => tool.first(site));
      await changeOnePercent(site.primary, (changes += 1));
      // A tool that removes the old copy first gets the memory that the copy occupied.
      await settle(site, 0);
      await measure(context, samples, tool, 'again', () => tool.again(site));
      await changeOneTable(site.primary, largeTables, changes);
      await settle(site, 0);
      await measure(context, samples, tool, 'one table', () => tool.again(site));
      tool.clear(site);
    }
  }
}

/** The memory that many small files take. */
const smallMegabytes = 1_000;

async function manyTables(context: BenchContext, site: BackupSite, samples: Samples): Promise<void> {
  const tools = chosenTools(context);
  for (const tool of tools) await tool.prepare?.(site);
  for (let round = 1; round <= context.options.backupRounds; round += 1) {
    for (const tool of inTurn(tools, round)) {
      if (round > 1 && tool.isAside === true) continue;
      tool.clear(site);
      await settle(site, smallMegabytes);
      await measure(context, samples, tool, 'tables', () => tool.first(site));
      tool.clear(site);
    }
  }
}

async function memoryByFiles(context: BenchContext, site: BackupSite, samples: Samples): Promise<void> {
  const tools = chosenTools(context).filter(({ name }) => /^threads-\d+$/.test(name));
  for (const name of ['few files', 'many files'] as const) {
    if (name === 'many files') makeFiles(site.primary, context.options.backupFiles);
    for (const tool of tools) {
      tool.clear(site);
      await settle(site, smallMegabytes);
      await measure(context, samples, tool, name, () => tool.first(site));
    }
  }
}

/** Measures the base backup: a first one, one after some changes, one of many tables, and its memory by number of files. */
export async function measureBaseBackup(context: BenchContext): Promise<Table> {
  const { major, options } = context;
  const samples: Samples = new Map();
  const bytes = await withBackupSite(
    major,
    (primary) => fillByPgbench(primary, options.backupScale, largeTables),
    async (site) => {
      const size = await site.primary.value('SELECT sum(pg_database_size(oid)) FROM pg_database');
      await firstAndAgain(context, site, Number(size), samples);
      return Number(size);
    },
  );
  if (options.backupTables > 0) {
    await withBackupSite(
      major,
      (primary) => makeTables(primary, options.backupTables),
      (site) => manyTables(context, site, samples),
    );
  }
  if (options.backupFiles > 0) {
    await withBackupSite(
      major,
      () => Promise.resolve(),
      (site) => memoryByFiles(context, site, samples),
    );
  }
  return tableOf(context, samples, bytes);
}

function tableOf(context: BenchContext, samples: Samples, bytes: number): Table {
  const { backupScale, backupTables, backupFiles, backupRounds } = context.options;
  const of = (tool: string, name: Case, key: keyof Sample): number | undefined => {
    const values = (samples.get(tool)?.get(name) ?? []).flatMap((sample) => sample[key] ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const by = (other: string, tool: string, name: Case): string =>
    ratio(over(of(tool, name, 'seconds'), of(other, name, 'seconds')));
  const rows = chosenTools(context).map(({ name, label }) => [
    label,
    seconds(of(name, 'first', 'seconds')),
    by('pg_basebackup-tls', name, 'first'),
    by('pg_basebackup', name, 'first'),
    by('rsync-az', name, 'first'),
    seconds(of(name, 'again', 'seconds')),
    by('pg_basebackup-tls', name, 'again'),
    by('pg_basebackup', name, 'again'),
    seconds(of(name, 'one table', 'seconds')),
    by('pg_basebackup', name, 'one table'),
    seconds(of(name, 'tables', 'seconds')),
    by('pg_basebackup', name, 'tables'),
    by('rsync-az', name, 'tables'),
    seconds(of(name, 'first', 'cpuSeconds')),
    megabytes(of(name, 'first', 'peakMemoryMb')),
    megabytes(of(name, 'few files', 'peakMemoryMb')),
    megabytes(of(name, 'many files', 'peakMemoryMb')),
  ]);
  return {
    title: `Base backup of ${(bytes / 1e9).toFixed(1)} GB, a pgbench database of scale ${String(backupScale)}`,
    note:
      `Medians of ${String(backupRounds)} (rsync -a, pgBackRest: once); all with a fast checkpoint, all flushed, each first copy into an empty directory. Again: after 1 % of the ` +
      `pages of all large tables changed; one table: after all pages of one of the ${String(largeTables)} large tables changed (pg_basebackup has to empty its directory first, which is counted). ` +
      `Tables: ${String(backupTables)} of one page. The columns ÷ say how many times what pg_basebackup over ` +
      `TLS, pg_basebackup without encryption, or rsync -az takes. The last two: memory with a fresh cluster's files alone, and with ${String(backupFiles)} more.`,
    columns: [
      'tool',
      'first',
      '÷ TLS',
      '÷ plain',
      '÷ -az',
      'again',
      '÷ TLS',
      '÷ plain',
      'one table',
      '÷ plain',
      'tables',
      '÷ plain',
      '÷ -az',
      'CPU',
      'memory',
      'few files',
      'many files',
    ],
    rows,
    samples: Object.fromEntries([...samples].map(([tool, cases]) => [tool, Object.fromEntries(cases)])),
  };
}
