import { describe, expect, test } from 'vitest';
import { admit, type Board, createBoard } from '../../../../src/archiver/shipper/board.ts';
import { takeChange, takeListing } from '../../../../src/archiver/shipper/passed.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
const segment = (number: number, timeline = 1): string =>
  `${hex(timeline)}${hex(Math.floor(number / 256))}${hex(number % 256)}`;

/** The shipper examines it, and has it delivered to all standbys but these. */
function ship(board: Board, text: string, owed: readonly string[] = []): void {
  const name = parseWalName(text);
  if (name.kind === 'not-wal') throw new Error(text);
  admit(board, {
    name,
    path: `/pg_wal/${text}`,
    identity: { device: 1n, inode: 1n, size: 16n, mtimeNs: 1n },
  });
  const shipment = board.shipments.get(text);
  for (const standby of board.standbys) if (!owed.includes(standby)) shipment?.owed.delete(standby);
}

/** Segment 7 is archived, 8 is ready. */
function observed(): Board {
  const board = createBoard(['a', 'b']);
  takeListing(board, [segment(8)], [segment(7)]);
  board.isListed = true;
  return board;
}

const lackers = ({ mayLack }: { readonly mayLack: ReadonlySet<string> }): readonly string[] => [...mayLack];

describe('a segment that PostgreSQL takes for archived', () => {
  test('leaves no hole once every standby has it safe, seen by its name or in the listing', () => {
    const board = observed();
    ship(board, segment(8));
    expect(lackers(takeChange(board, segment(8), false))).toEqual([]);
    expect(lackers(takeChange(board, segment(9), true))).toEqual([]);
    ship(board, segment(9));
    expect(takeListing(board, [], [segment(8), segment(9)])).toEqual({
      gone: [segment(9)],
      mayLack: new Set(),
    });
  });

  test('leaves none at an abandoned standby, which has no proof', () => {
    const board = observed();
    ship(board, segment(8));
    board.shipments.get(segment(8))?.abandoned.add('b');
    expect(lackers(takeChange(board, segment(8), false))).toEqual([]);
  });

  test('may be lacking where it was not safe yet', () => {
    const board = observed();
    ship(board, segment(8), ['b']);
    expect(lackers(takeChange(board, segment(8), false))).toEqual(['b']);
    takeChange(board, segment(9), true);
    ship(board, segment(9), ['a']);
    expect(lackers(takeListing(board, [], [segment(8), segment(9)]))).toEqual(['a']);
  });

  test('may be lacking everywhere if it was not examined yet', () => {
    const board = observed();
    expect(lackers(takeChange(board, segment(8), false))).toEqual(['a', 'b']);
    takeChange(board, '00000002.history', true);
    expect(lackers(takeChange(board, '00000002.history', false))).toEqual(['a', 'b']);
  });

  test('may be lacking everywhere if nobody saw it ready', () => {
    const board = observed();
    expect(lackers(takeChange(board, segment(9), false))).toEqual(['a', 'b']);
    expect(lackers(takeListing(board, [segment(8)], [segment(9), segment(10)]))).toEqual(['a', 'b']);
    // Once is enough.
    expect(lackers(takeListing(board, [segment(8)], [segment(9), segment(10)]))).toEqual([]);
  });

  test('may be lacking everywhere if even its name was never seen', () => {
    const board = observed();
    expect(lackers(takeChange(board, segment(10), true))).toEqual(['a', 'b']);
    expect(lackers(takeListing(board, [segment(8), segment(10), segment(12)], []))).toEqual(['a', 'b']);
    expect(lackers(takeChange(board, segment(13), true))).toEqual([]);
  });
});

describe('no hole is', () => {
  test('what was there when the observation began', () => {
    const board = createBoard(['a']);
    expect(lackers(takeListing(board, [segment(9)], [segment(3), segment(5, 2)]))).toEqual([]);
  });

  test('the removal of an old file', () => {
    const board = observed();
    expect(lackers(takeChange(board, segment(7), false))).toEqual([]);
    expect(lackers(takeChange(board, segment(2), false))).toEqual([]);
    expect(lackers(takeListing(board, [segment(8)], []))).toEqual([]);
  });

  test('the end of a log file, also where its last segment is left out', () => {
    for (const last of [0xff, 0xfe]) {
      const board = createBoard(['a']);
      takeListing(board, [segment(last)], []);
      board.isListed = true;
      expect(lackers(takeChange(board, segment(0x100), true))).toEqual([]);
      expect(lackers(takeChange(board, segment(0x101), true))).toEqual([]);
    }
  });

  test('another timeline, or a backup file that nobody asks for', () => {
    const board = observed();
    expect(lackers(takeChange(board, '00000002.history', true))).toEqual([]);
    expect(lackers(takeChange(board, segment(8, 2), true))).toEqual([]);
    const backup = `${segment(8)}.00000028.backup`;
    expect(lackers(takeChange(board, backup, true))).toEqual([]);
    expect(lackers(takeChange(board, backup, false))).toEqual([]);
    expect(lackers(takeChange(board, `${segment(9)}.partial`, false))).toEqual([]);
  });
});
