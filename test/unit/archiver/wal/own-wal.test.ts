import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readOwnWal } from '../../../../src/archiver/wal/own-wal.ts';
import { buildWal, type WalSpec } from '../../../harness/wal.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

const segmentBytes = 1024 * 1024;

/** A data directory whose pg_wal holds these segments, one per name, and these history files. */
function pgdataWith(
  segments: readonly (Partial<WalSpec> & { readonly name: string })[],
  histories: Readonly<Record<string, string>> = {},
): string {
  const pgdata = temporaryDirectory();
  const directory = join(pgdata, 'pg_wal');
  mkdirSync(directory);
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  for (const segment of segments) {
    const bytes = buildWal({ systemIdentifier: 42n, version: '15', segmentBytes, ...segment });
    writeFileSync(join(directory, segment.name), bytes);
  }
  for (const [name, text] of Object.entries(histories)) writeFileSync(join(directory, name), text);
  return pgdata;
}

const cluster = { systemIdentifier: '42', timeline: 1, isInRecovery: false };

describe('the WAL of this server', () => {
  test('is complete up to the newest segment whose first page was written; the files behind it are reserved', async () => {
    const pgdata = pgdataWith([
      { name: '000000010000000000000007' },
      { name: '000000010000000000000008' },
      // Recycled: the name is new, the content is old.
      { name: '000000010000000000000009', headerSegment: 2n },
      { name: '00000001000000000000000A', headerSegment: 3n },
    ]);
    expect(await readOwnWal(pgdata, cluster)).toMatchObject({ timeline: 1, end: 8 });
  });

  test.each(['ready', 'done'])(
    'is complete up to a switch, although nothing was written since (.%s)',
    async (suffix) => {
      const pgdata = pgdataWith([
        { name: '000000010000000000000008' },
        { name: '000000010000000000000009', headerSegment: 2n },
      ]);
      mkdirSync(join(pgdata, 'pg_wal', 'archive_status'));
      const note = (name: string): void => {
        writeFileSync(join(pgdata, 'pg_wal', 'archive_status', `${name}.${suffix}`), '');
      };
      // Of another timeline, or of no segment: nothing follows from these.
      for (const name of ['000000020000000000000011', '00000009.history', '000000010000000000000012.partial'])
        note(name);
      expect(await readOwnWal(pgdata, cluster)).toMatchObject({ timeline: 1, end: 8 });
      note('000000010000000000000008');
      expect(await readOwnWal(pgdata, cluster)).toMatchObject({ timeline: 1, end: 9 });
    },
  );

  test('is of the timeline that it was promoted to, although pg_control still names the old one', async () => {
    const pgdata = pgdataWith(
      [
        { name: '000000010000000000000008' },
        { name: '000000020000000000000008', headerTimeline: 1 },
        { name: '000000020000000000000009' },
      ],
      { '00000002.history': '1\t0/800060\tno recovery target specified\n' },
    );
    expect(await readOwnWal(pgdata, cluster)).toMatchObject({ timeline: 2, end: 9 });
  });

  test('is not of a branch that it knows but never wrote, nor of one that does not come from its own', async () => {
    const pgdata = pgdataWith([{ name: '000000030000000000000008' }], {
      '00000004.history': '1\t0/800060\tx\n3\t0/900060\tx\n',
      '00000005.history': '1\t0/700060\tx\n',
    });
    expect(await readOwnWal(pgdata, { ...cluster, timeline: 3 })).toMatchObject({ timeline: 3, end: 8 });
  });

  test('is unknown without a segment of this cluster, or if pg_control cannot be understood', async () => {
    const foreign = pgdataWith([{ name: '000000010000000000000008', systemIdentifier: 43n }]);
    expect(await readOwnWal(foreign, cluster)).toBeUndefined();
    const pgdata = pgdataWith([{ name: '000000010000000000000008' }]);
    expect(await readOwnWal(pgdata, { ...cluster, timeline: undefined })).toBeUndefined();
  });
});
