import { expect, test } from 'vitest';
import { laneOf } from '../../../../src/archiver/lane/lane.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { addReady, admit, createBoard } from '../../../../src/archiver/shipper/board.ts';
import { createShipperLane } from '../../../../src/archiver/shipper/lane-record.ts';
import { directSource } from '../../../../src/archiver/shipper/lane-sources.ts';
import type { Work } from '../../../../src/archiver/shipper/work.ts';
import type { StandbyTarget } from '../../../../src/config/options-archiver.ts';
import { parseWalName } from '../../../../src/postgres/wal-name.ts';

const segmentBytes = 16 * 1024 * 1024;

/** The numbers of files in the batches of a backlog, all of which travel at once. */
async function batchSizes(segments: number, bytesPerMs: number): Promise<number[]> {
  const standby = { name: 's1', rsync_flags: ['-z'] } as unknown as StandbyTarget;
  const lane = createShipperLane(laneOf(layoutOf('/nowhere'), standby));
  lane.bytesPerMs = bytesPerMs;
  const board = createBoard([lane.name]);
  for (let number = 1; number <= segments; number++) {
    const text = `0000000100000000${number.toString(16).toUpperCase().padStart(8, '0')}`;
    const name = parseWalName(text);
    if (name.kind === 'not-wal') throw new Error(text);
    addReady(board, text);
    const identity = { device: 1n, inode: BigInt(number), size: BigInt(segmentBytes), mtimeNs: 1n };
    admit(board, { name, path: `/pg_wal/${text}`, identity });
  }
  const deps = { monotonicMs: () => 0, settings: { queue_after: 1 } };
  const work = { deps, board, stop: new AbortController().signal } as unknown as Work;
  const source = directSource(work, lane, 1);
  const sizes: number[] = [];
  for (let batch = await source.next(); batch !== undefined; batch = await source.next())
    sizes.push(batch.files.length);
  return sizes;
}

test('on a fast link the last batches of a backlog become smaller', async () => {
  expect(await batchSizes(36, 400_000)).toEqual([8, 8, 8, 6, 3, 2, 1]);
});

test('on a slow link, where batches do not travel side by side, they are as large as the link allows', async () => {
  const bytesPerMs = 15_000;
  expect(await batchSizes(2, bytesPerMs)).toEqual([1, 1]);
});

test('while nothing is known of the link, the first one has one segment, and those behind it are small', async () => {
  expect(await batchSizes(20, 0)).toEqual([1, 4, 4, 4, 3, 2, 2]);
});
