import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nameOf } from '../../../../../src/postgres/lsn.ts';
import { historyName } from '../../../../../src/postgres/wal-name.ts';
import {
  archivedUpTo,
  missingBetween,
  presentTimeline,
  readOwnWal,
} from '../../../../../src/standby/archive/keep/archived-chain.ts';
import { controlFile, dataDirectory } from '../../standby-facts.ts';
import { layout, segment, segmentSize } from './wal-kit.ts';

let root = '';
let archivedir = '';
let pgWal = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  archivedir = join(root, 'archive');
  pgWal = join(root, 'data', 'pg_wal');
  mkdirSync(archivedir);
  mkdirSync(pgWal, { recursive: true });
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function put(directory: string, timeline: number, ...numbers: readonly number[]): void {
  for (const number of numbers)
    writeFileSync(join(directory, nameOf(timeline, number, layout).text), segment(timeline, number));
}

const at = (number: number) => BigInt(number * segmentSize);

async function wal(timeline = 1) {
  const control = controlFile({ timeline });
  const directory = dataDirectory('15', { pgdata: join(root, 'data'), control });
  const found = await readOwnWal(archivedir, directory, segmentSize);
  if (found === undefined) throw new Error('pg_control is there');
  return found;
}

describe('the segments that the archive holds without a gap', () => {
  test('end at the first that is not there', async () => {
    put(archivedir, 1, 3, 4, 6);
    expect(await archivedUpTo(await wal(), at(3) + 40n)).toBe(at(5));
    expect(await archivedUpTo(await wal(), at(5) + 40n)).toBe(at(5) + 40n);
    expect((await missingBetween(await wal(), at(3), at(7))).map(({ text }) => text)).toEqual([
      nameOf(1, 5, layout).text,
    ]);
  });

  test('end at one that is cut short, or whose first page is another segment', async () => {
    put(archivedir, 1, 3, 6);
    writeFileSync(join(archivedir, nameOf(1, 4, layout).text), segment(1, 4).subarray(0, 8192));
    writeFileSync(join(archivedir, nameOf(1, 7, layout).text), segment(1, 7, 2));
    expect(await archivedUpTo(await wal(), at(3))).toBe(at(4));
    expect(await archivedUpTo(await wal(), at(6))).toBe(at(7));
  });

  test("need the new timeline's file where it branched off: the old one may go on otherwise", async () => {
    writeFileSync(join(archivedir, historyName(2).text), '1\t0/500100\tx\n');
    put(archivedir, 1, 3, 4, 5, 6);
    expect(await archivedUpTo(await wal(2), at(3))).toBe(at(5));
    put(archivedir, 2, 5, 6);
    expect(await archivedUpTo(await wal(2), at(3))).toBe(at(7));
  });

  test('follow the timeline that is received already, before pg_control has it', async () => {
    writeFileSync(join(pgWal, historyName(2).text), '1\t0/500100\tx\n');
    put(archivedir, 1, 3, 4, 5, 6);
    expect(await archivedUpTo(await wal(1), at(3))).toBe(at(7));
    put(pgWal, 2, 5);
    expect(await archivedUpTo(await wal(1), at(3))).toBe(at(5));
  });
});

test('a timeline that did not come from ours is not the present one', () => {
  const histories = new Map([[3, []]]);
  expect(presentTimeline([2], [nameOf(3, 9, layout)], histories)).toBe(2);
  expect(presentTimeline([2, 1], [], histories)).toBe(2);
});
