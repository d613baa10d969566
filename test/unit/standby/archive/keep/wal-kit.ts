import { firstLsnOf, nameOf } from '../../../../../src/postgres/lsn.ts';

export const segmentSize = 1024 * 1024;
export const layout = { segmentSize, walSegmentSkipsFF: false };

/** A segment of cluster 1 as PostgreSQL 15 begins it. */
export function segment(timeline: number, number: number, address = number): Buffer {
  const bytes = Buffer.alloc(segmentSize);
  bytes.writeUInt16LE(0xd110, 0);
  bytes.writeUInt16LE(2, 2);
  bytes.writeUInt32LE(timeline, 4);
  bytes.writeBigUInt64LE(firstLsnOf(nameOf(1, address, layout), segmentSize), 8);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeUInt32LE(segmentSize, 32);
  bytes.writeUInt32LE(8192, 36);
  return bytes;
}
