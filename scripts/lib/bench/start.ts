import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkout } from '../../../test/harness/checkout.ts';
import { mustRun } from '../../../test/harness/processes.ts';
import { removeTree } from '../../../test/harness/remove-tree.ts';
import type { BenchContext } from './drain.ts';
import { pairedRatio, pairedText } from './pairs.ts';
import { milliseconds, type Table } from './report.ts';
import { percentile } from './statistics.ts';
import { timeInTurn } from './turns.ts';

const programs = ['cmd_archiver', 'cmd_standby'] as const;

/** Measures the start of both programs, as they are in a checkout and as a package brings them, in turn. */
export async function measureStart({ options, say }: BenchContext): Promise<Table> {
  const directory = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'start-'));
  try {
    const packaged = await unpackedPackage(directory);
    const commands = programs.flatMap((program) =>
      [checkout('bin'), packaged].map((place) => `${join(place, program)} --version >/dev/null`),
    );
    // The first call reads files from the disk.
    await timeInTurn(commands, 2, { cwd: '/' });
    const times = await timeInTurn(commands, options.calls, { cwd: '/' });
    say(`start: ${String(options.calls)} each`);
    return startTable(times, options.calls);
  } finally {
    removeTree(directory);
  }
}

async function unpackedPackage(directory: string): Promise<string> {
  await mustRun(checkout('scripts', 'package', 'build'), [directory], { limitMs: 600_000 });
  const [archive] = readdirSync(directory).filter((name) => name.endsWith('.tgz'));
  if (archive === undefined) throw new Error(`scripts/package/build made no .tgz in ${directory}`);
  await mustRun('tar', ['-xzf', archive], { cwd: directory });
  return join(directory, 'package', 'bin');
}

/** @param times of the checkout and the package, for one program after the other */
function startTable(times: readonly (readonly number[])[], calls: number): Table {
  const rows = programs.map((program, index) => {
    const [ofCheckout = [], ofPackage = []] = times.slice(2 * index, 2 * index + 2);
    return [
      `${program} --version`,
      ...[ofCheckout, ofPackage].map((one) => milliseconds(percentile(one, 0.5) / 1000)),
      pairedText(pairedRatio(ofPackage, ofCheckout)),
    ];
  });
  return {
    title: 'The start of a program',
    note: `--version through the launcher, ${String(calls)} times each, in turn: a checkout, and the package that scripts/package/build makes of it. The ratio is the median of the pairs.`,
    columns: ['command', 'checkout p50', 'package p50', 'package ÷ checkout'],
    rows,
    samples: times,
  };
}
