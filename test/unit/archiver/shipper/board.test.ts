import { describe, expect, it } from 'vitest';
import {
  addReady,
  admit,
  type Board,
  compareReady,
  createBoard,
  findComplete,
  isEverythingMarked,
  isWanted,
  offerAgain,
  owedTo,
  removeReady,
  replaceReady,
  shipmentsInOrder,
  unseen,
  updateHead,
  wasLost,
} from '../../../../src/archiver/shipper/board.ts';
import type { WalFile } from '../../../../src/archiver/wal/wal-file.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';

function segment(number: number, timeline = 1): string {
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(timeline)}${hex(0)}${hex(number)}`;
}

function walFile(text: string): WalFile {
  const name = parseWalName(text);
  if (name.kind === 'not-wal') throw new Error(text);
  return {
    name,
    path: `/pg_wal/${text}`,
    identity: { device: 1n, inode: 1n, size: 16n, mtimeNs: 1n },
  };
}

function boardOf(names: readonly string[], standbys: readonly string[] = ['a', 'b']): Board {
  const board = createBoard(standbys);
  for (const name of names) {
    addReady(board, name);
    admit(board, walFile(name));
  }
  return board;
}

function shipment(board: Board, name: string) {
  const found = board.shipments.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe('the order of the board', () => {
  it('is that of the names, with history files first', () => {
    const names = [segment(2, 2), segment(1), '00000002.history', segment(3), '00000003.history'];
    expect([...names].sort(compareReady)).toEqual([
      '00000002.history',
      '00000003.history',
      segment(1),
      segment(3),
      segment(2, 2),
    ]);
  });

  it('is the same in whatever order names are added, and no name occurs twice', () => {
    const board = createBoard(['a']);
    for (const number of [5, 1, 3, 2, 5, 4, 1]) addReady(board, segment(number));
    expect(board.order).toEqual([1, 2, 3, 4, 5].map((number) => segment(number)));
  });

  it('follows the directory, and the names that are gone are returned', () => {
    const board = boardOf([segment(1), segment(2)]);
    expect(replaceReady(board, [segment(3), segment(2)])).toEqual([segment(1)]);
    expect(board.order).toEqual([segment(2), segment(3)]);
    expect(board.shipments.has(segment(1))).toBe(false);
    expect(unseen(board)).toEqual([segment(3)]);
  });

  it('covers only a window, however long the backlog is', () => {
    const board = createBoard(['a']);
    for (let number = 1; number <= 1000; number++) addReady(board, segment(number));
    expect(unseen(board)).toHaveLength(256);
  });
});

describe('a shipment', () => {
  it('is complete when no standby lacks it and no process reads it', () => {
    const board = boardOf([segment(1)]);
    const one = shipment(board, segment(1));
    one.owed.delete('a');
    expect(findComplete(board)).toEqual([]);
    one.readers.add('b');
    one.owed.delete('b');
    expect(findComplete(board)).toEqual([]);
    one.readers.delete('b');
    expect(findComplete(board)).toEqual([one]);
    one.isMarked = true;
    expect(findComplete(board)).toEqual([]);
  });

  it('is never complete if every standby is abandoned', () => {
    const board = boardOf([segment(1)]);
    const one = shipment(board, segment(1));
    for (const name of ['a', 'b']) {
      one.owed.delete(name);
      one.abandoned.add(name);
    }
    expect(findComplete(board)).toEqual([]);
    one.abandoned.delete('b');
    expect(findComplete(board)).toEqual([one]);
  });

  it('is offered again to a standby that is no longer abandoned, unless it has a marker', () => {
    const board = boardOf([segment(1), segment(2)]);
    for (const { owed, abandoned } of shipmentsInOrder(board)) {
      owed.delete('a');
      abandoned.add('a');
    }
    shipment(board, segment(1)).isMarked = true;
    expect(wasLost(board, 'a')).toBe(true);
    offerAgain(board, 'a');
    expect(owedTo(board, 'a').map(({ file }) => file.name.text)).toEqual([segment(2)]);
    expect(wasLost(board, 'a')).toBe(false);
  });

  it('is no longer wanted after it is archived, or when another file has its name', () => {
    const board = boardOf([segment(1)]);
    const one = shipment(board, segment(1));
    expect(isWanted(board, one)).toBe(true);
    removeReady(board, segment(1));
    expect(isWanted(board, one)).toBe(false);
    addReady(board, segment(1));
    admit(board, walFile(segment(1)));
    expect(isWanted(board, one)).toBe(false);
  });
});

describe('the oldest file of the board', () => {
  it('is the oldest one without a marker, and its waiting time begins when it became that', () => {
    const board = boardOf([segment(1), segment(2)]);
    expect(updateHead(board, 10)).toEqual({ name: segment(1), sinceMs: 10 });
    expect(updateHead(board, 500)).toEqual({ name: segment(1), sinceMs: 10 });
    shipment(board, segment(1)).isMarked = true;
    expect(updateHead(board, 600)).toEqual({ name: segment(2), sinceMs: 600 });
    removeReady(board, segment(2));
    expect(updateHead(board, 700)).toBeUndefined();
  });
});

it('goes on behind the marked files once the server is stopped, until all are marked', () => {
  const names = Array.from({ length: 600 }, (_, index) => segment(index + 1));
  const board = boardOf([]);
  replaceReady(board, names);
  const shipWindow = (): void => {
    for (const name of unseen(board)) admit(board, walFile(name));
    for (const one of board.shipments.values()) one.isMarked = true;
  };
  shipWindow();
  expect(unseen(board)).toEqual([]);
  expect(isEverythingMarked(board)).toBe(false);
  board.isStopped = true;
  expect(unseen(board)[0]).toBe(names[256]);
  shipWindow();
  shipWindow();
  expect(isEverythingMarked(board)).toBe(true);
});
