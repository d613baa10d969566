import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nameOf } from '../../../../../src/postgres/lsn.ts';
import { readOwnWal } from '../../../../../src/standby/archive/keep/archived-chain.ts';
import { copySegments } from '../../../../../src/standby/archive/keep/fill-archive.ts';
import { temporaryDirectory } from '../../../system/temporary.ts';
import { controlFile, dataDirectory } from '../../standby-facts.ts';
import { layout, segment, segmentSize } from './wal-kit.ts';

const name = (number: number) => nameOf(1, number, layout);
const texts = (...numbers: readonly number[]) => numbers.map((number) => name(number).text);

/** An empty archive, and a pg_wal with these segments. */
function siteWith(numbers: readonly number[]) {
  const root = temporaryDirectory();
  const [archivedir, pgdata] = [join(root, 'archive'), join(root, 'data')];
  const walDirectory = join(pgdata, 'pg_wal');
  mkdirSync(archivedir);
  mkdirSync(walDirectory, { recursive: true });
  for (const number of numbers) writeFileSync(join(walDirectory, name(number).text), segment(1, number));
  const read = async () => {
    const directory = dataDirectory('15', { pgdata, control: controlFile({ timeline: 1 }) });
    const wal = await readOwnWal(archivedir, directory, segmentSize);
    if (wal === undefined) throw new Error('pg_control is there');
    return wal;
  };
  return { archivedir, walDirectory, read };
}

const none = (): Promise<void> => Promise.resolve();

test('two runs at once bring each segment under its own name, and nothing else', async () => {
  const numbers = Array.from({ length: 20 }, (_, index) => index + 1);
  const { archivedir, walDirectory, read } = siteWith(numbers);
  // Those of a killed run and of an earlier release.
  for (const left of ['.from-pg_wal.tmp', '.from-pg_wal.999999999.00ff.tmp'])
    writeFileSync(join(archivedir, left), 'half');
  const wal = await read();
  const deps = { signal: new AbortController().signal, monotonicMs: () => 0 };
  const copy = () => copySegments(numbers.map(name), { deps, wal, walDirectory, limitMs: 1000 });

  const runs = await Promise.all([copy(), none().then(copy)]);
  expect(runs.map(({ missing, left }) => [missing, left])).toEqual([
    [[], []],
    [[], []],
  ]);
  expect(readdirSync(archivedir).sort()).toEqual(texts(...numbers));
  for (const text of texts(...numbers))
    expect(readFileSync(join(archivedir, text)).equals(readFileSync(join(walDirectory, text)))).toBe(true);
});

test('segments are copied from pg_wal until the time limit is over, and those that are there cost none', async () => {
  const { archivedir, walDirectory, read } = siteWith([4, 6, 7, 8]);
  writeFileSync(join(archivedir, name(3).text), segment(1, 3));
  const wal = await read();
  let nowMs = 0;
  // Each look at the clock is two seconds later than the one before.
  const deps = { signal: new AbortController().signal, monotonicMs: () => (nowMs += 2000) };
  const copy = (limitMs: number) =>
    copySegments([3, 4, 5, 6, 7, 8].map(name), { deps, wal, walDirectory, limitMs });

  const first = await copy(5000);
  expect(first.copied).toEqual([name(4)]);
  expect(first.missing).toEqual([name(5)]);
  expect(first.left).toEqual([name(6), name(7), name(8)]);
  expect(readdirSync(archivedir).sort()).toEqual(texts(3, 4));

  const rest = await copy(Number.POSITIVE_INFINITY);
  expect(rest).toEqual({ copied: [name(6), name(7), name(8)], missing: [name(5)], left: [] });
  expect(readdirSync(archivedir).sort()).toEqual(texts(3, 4, 6, 7, 8));
});
