import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { EndOfWal } from '../../../../src/standby/follow/end-of-wal.ts';
import { observeUnsent } from '../../../../src/standby/rejoin/unsent.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { controlFile, dataDirectory } from '../standby-facts.ts';

const there = {
  timeline: 2,
  history: [{ timeline: 1, end: { kind: 'lsn', lsn: 0x5000100n } }],
  lsn: 0x6000000n,
} as const;
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
    expect(await observeUnsent(former(ready, present), crashed, there, false)).toEqual([
      { name: segment(4), to: 'archive', isTail: false },
      // The fork is in it.
      { name: segment(5), to: 'diverged', isTail: false },
      { name: segment(6), to: 'diverged', isTail: true },
    ]);
  });

  test('lies under no name of the archive if the new primary does not know the timeline', async () => {
    const other = { ...there, timeline: 3, history: [] };
    expect(await observeUnsent(former([segment(4)], present), crashed, other, false)).toEqual([
      { name: segment(4), to: 'diverged', isTail: false },
      { name: segment(6), to: 'diverged', isTail: true },
    ]);
  });

  test('has no last segment if the new primary has it all', async () => {
    const clean: EndOfWal = { kind: 'clean', timeline: 1, checkpoint: 0x5000028n };
    expect(await observeUnsent(former([segment(4)], present), clean, there, true)).toEqual([
      { name: segment(4), to: 'archive', isTail: false },
    ]);
  });
});
