import { expect, test } from 'vitest';
import { walFormat } from '../../../src/postgres/wal-format.ts';
import { transactionEnd } from '../../../src/postgres/wal-transactions.ts';

function formatOf(magic: number) {
  const format = walFormat({
    magic,
    littleEndian: true,
    alignment: 8,
    blockSize: 8192,
    segmentSize: 1024 * 1024,
  });
  if (format === undefined) throw new Error('unknown');
  return format;
}

/** 2026-05-28 11:00:38.059389 UTC. */
const micros = 1_779_966_038_059_389n;

function content(...before: number[]): DataView {
  const view = new DataView(new ArrayBuffer(before.length + 12));
  before.forEach((byte, at) => {
    view.setUint8(at, byte);
  });
  view.setBigInt64(before.length, micros - 946_684_800_000_000n, true);
  return view;
}

const commit = 0x00;
const pg18 = formatOf(0xd118);
const pg94 = formatOf(0xd07e);

test.each([
  ['a commit', pg18, 0x80 | commit, content(255, 40)],
  ['a commit with much data', pg18, commit, content(254, 1, 1, 0, 0)],
  ['a replicated commit in a subtransaction', pg18, commit, content(253, 1, 0, 252, 9, 0, 0, 0, 255, 40)],
  ['a rollback', pg18, 0x20, content(255, 8)],
  ['a prepared commit', pg18, 0x30, content(255, 40)],
  ['a commit of 9.4', pg94, commit, content()],
  ['a compact commit of 9.4', pg94, 0x60, content()],
  ['a prepared commit of 9.4', pg94, 0x30, content(9, 0, 0, 0, 0, 0, 0, 0)],
])('%s shows when its transaction ended', (_, format, info, bytes) => {
  expect(transactionEnd(format, { rmgr: 1, info, content: bytes })).toBe(micros);
});

test.each([
  ['another resource manager', 0, commit, content(255, 40)],
  ['an assignment of subtransactions', 1, 0x50, content(255, 40)],
  ['data that does not begin here', 1, commit, content(0, 0)],
  ['a record that is too short', 1, commit, new DataView(new ArrayBuffer(6))],
  ['a time far from any', 1, commit, new DataView(new Uint8Array(20).fill(255).buffer)],
])('%s shows none', (_, rmgr, info, bytes) => {
  expect(transactionEnd(pg18, { rmgr, info, content: bytes })).toBeUndefined();
});
