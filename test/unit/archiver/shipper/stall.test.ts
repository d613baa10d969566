import { expect, test } from 'vitest';
import { addReady, admit, createBoard, removeReady } from '../../../../src/archiver/shipper/board.ts';
import { stalledSince, type Watch } from '../../../../src/archiver/shipper/stall.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';

const names = ['000000010000000000000001', '000000010000000000000002', '000000010000000000000003'] as const;

function boardOf() {
  const board = createBoard(['s1']);
  const mark = (text: string) => {
    const name = parseWalName(text);
    if (name.kind === 'not-wal') throw new Error(text);
    addReady(board, text);
    const identity = { device: 1n, inode: 1n, size: 1n, mtimeNs: 1n };
    admit(board, { name, path: text, identity });
    const shipment = board.shipments.get(text);
    if (shipment !== undefined) shipment.isMarked = true;
    return shipment;
  };
  return { board, mark };
}

test('a PostgreSQL that archives no segment with a marker is noticed, and each archived segment restarts the measurement', () => {
  const { board, mark } = boardOf();
  const watch: Watch = { marked: [], sinceMs: undefined };
  expect(stalledSince(watch, board, 0)).toBeUndefined();
  for (const name of names) mark(name);
  expect(stalledSince(watch, board, 10)).toBe(10);
  expect(stalledSince(watch, board, 500)).toBe(10);
  removeReady(board, names[0]);
  expect(stalledSince(watch, board, 600)).toBe(600);
  expect(stalledSince(watch, board, 700)).toBe(600);
});

test('an oldest segment that is not safe yet is no fault of archive_command', () => {
  const { board, mark } = boardOf();
  const watch: Watch = { marked: [], sinceMs: undefined };
  const oldest = mark(names[0]);
  mark(names[1]);
  expect(stalledSince(watch, board, 0)).toBe(0);
  if (oldest !== undefined) oldest.isMarked = false;
  expect(stalledSince(watch, board, 100)).toBeUndefined();
});
