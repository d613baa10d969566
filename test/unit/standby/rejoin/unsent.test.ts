import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';
import type { EndOfWal } from '../../../../src/standby/follow/end-of-wal.ts';
import type { OwnPlace } from '../../../../src/standby/follow/lineage.ts';
import { observeUnsent } from '../../../../src/standby/rejoin/unsent.ts';
import { buildWal } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const there = {
  timeline: 2,
  history: [{ timeline: 1, end: { kind: 'lsn', lsn: 0x5000100n } }],
  lsn: 0x6000000n,
} as const;
const own: OwnPlace = { timeline: 1, lsn: 0x6000100n, isRecordStart: false, history: undefined };
const hex = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
const segment = (number: number) => `00000001000000000000000${number}`;

function former(ready: readonly string[], present: readonly string[]) {
  const pgdata = temporaryDirectory();
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  for (const name of present) writeFileSync(join(pgdata, 'pg_wal', name), '');
  for (const name of ready) writeFileSync(join(pgdata, 'pg_wal', 'archive_status', `${name}.ready`), '');
  return dataDirectory('15', { pgdata, control: controlFile({ state: 'in-production' }) });
}

describe('the WAL of a former primary that the new one may lack', () => {
  const present = [3, 4, 5, 6].map(segment);
  const crashed: EndOfWal = { kind: 'crashed', timeline: 1, end: 0x6000100n };

  test('is what was not archived, and the last segment', async () => {
    const ready = [4, 5, 9].map(segment);
    expect(await observeUnsent(former(ready, present), crashed, own, there, false)).toEqual([
      { name: segment(4), to: 'archive', isTail: false },
      // The fork is in it.
      { name: segment(5), to: 'diverged', isTail: false },
      { name: segment(6), to: 'diverged', isTail: true },
    ]);
  });

  test('is theirs before the segment that a history of 9.2 names, and diverged from it on', async () => {
    const left = parseWalName(segment(5));
    if (left.kind !== 'segment') throw new Error('no segment');
    const history = [{ timeline: 1, end: { kind: 'segment', segment: left } }] as const;
    const files = await observeUnsent(
      former([3, 4, 5].map(segment), present),
      crashed,
      own,
      { ...there, history },
      false,
    );
    expect(files.map(({ name, to }) => [name, to])).toEqual([
      [segment(3), 'archive'],
      [segment(4), 'archive'],
      [segment(5), 'diverged'],
      [segment(6), 'diverged'],
    ]);
  });

  test('lies under no name of the archive if the new primary does not know the timeline', async () => {
    const other = { ...there, timeline: 3, history: [] };
    expect(await observeUnsent(former([segment(4)], present), crashed, own, other, false)).toEqual([
      { name: segment(4), to: 'diverged', isTail: false },
      { name: segment(6), to: 'diverged', isTail: true },
    ]);
  });

  test('lies under no name of the archive if the new primary has another timeline of that number', async () => {
    const fork = (lsn: bigint) => ({ timeline: 1, end: { kind: 'lsn', lsn } }) as const;
    const theirs = { timeline: 3, lsn: 0x9000000n };
    const end: EndOfWal = { kind: 'crashed', timeline: 2, end: 0x6000100n };
    const ready = ['00000002.history', '000000020000000000000005'];
    const destinations = async (ours: bigint) => {
      const place: OwnPlace = { ...own, timeline: 2, history: [fork(ours)] };
      const history = [fork(0x4000100n), { timeline: 2, end: { kind: 'lsn', lsn: 0x8000100n } } as const];
      const files = await observeUnsent(former(ready, ready), end, place, { ...theirs, history }, false);
      return files.map(({ to }) => to);
    };
    expect(await destinations(0x4000100n)).toEqual(['archive', 'archive']);
    expect(await destinations(0x5000100n)).toEqual(['diverged', 'diverged']);
  });

  test('is all that it wrote behind the fork, whatever archive_status says', async () => {
    const segmentBytes = 1024 * 1024;
    const names = [79, 80, 81, 96, 97].map((number) => `00000001000000000000${hex(number)}`);
    const [before, fork, later, last, reused] = names as [string, string, string, string, string];
    const directory = {
      ...former([fork], names),
      control: controlFile({ state: 'in-production', walSegmentSize: segmentBytes }),
    };
    for (const name of names) {
      const spec = { name, systemIdentifier: 1n, version: '15', segmentBytes };
      const bytes = buildWal(name === reused ? { ...spec, headerSegment: 3n } : spec);
      writeFileSync(join(directory.pgdata, 'pg_wal', name), bytes);
    }
    for (const name of [before, later])
      writeFileSync(join(directory.pgdata, 'pg_wal', 'archive_status', `${name}.done`), '');
    expect(await observeUnsent(directory, crashed, own, there, false)).toEqual([
      { name: fork, to: 'diverged', isTail: false },
      { name: later, to: 'diverged', isTail: false },
      { name: last, to: 'diverged', isTail: true },
    ]);
  });

  test('has no last segment if the new primary has it all', async () => {
    const clean: EndOfWal = { kind: 'clean', timeline: 1, checkpoint: 0x5000028n };
    expect(await observeUnsent(former([segment(4)], present), clean, own, there, true)).toEqual([
      { name: segment(4), to: 'archive', isTail: false },
    ]);
  });

  test('has a last segment also where nothing shows its end, as before the first checkpoint of a promotion', async () => {
    const segmentBytes = 1024 * 1024;
    const [full, last, reused] = [5, 6, 7].map((number) => segment(number).replace('1', '2')) as [
      string,
      string,
      string,
    ];
    const crashedSoon = former([full], [full, last, reused, segment(4), segment(5)]);
    const directory = {
      ...crashedSoon,
      control: controlFile({ state: 'in-production', walSegmentSize: segmentBytes }),
    };
    const write = (name: string, headerSegment?: bigint) => {
      const spec = { name, systemIdentifier: 1n, version: '15', segmentBytes };
      const bytes = buildWal(headerSegment === undefined ? spec : { ...spec, headerSegment });
      writeFileSync(join(directory.pgdata, 'pg_wal', name), bytes);
    };
    for (const name of [full, last]) write(name);
    write(reused, 3n);
    const end: EndOfWal = { kind: 'unknown', timeline: 1, reason: 'x' };
    const files = await observeUnsent(directory, end, { ...own, unknown: 'x' }, there, false);
    expect(files).toEqual([
      { name: full, to: 'diverged', isTail: false },
      { name: last, to: 'diverged', isTail: true },
    ]);
  });
});
