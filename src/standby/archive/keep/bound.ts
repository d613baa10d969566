import { statfs } from 'node:fs/promises';
import { inMegabytes } from '../../../megabytes.ts';
import { whyTooFull } from '../../../postgres/kept-slot.ts';
import type { SlotFacts } from './slot.ts';

export interface Room {
  /** `keep_streamed_max`, in bytes. */
  readonly most: number;
  /** Free bytes on the file system of pg_wal. */
  readonly free: number;
}

/** WAL that the slot must give up, and why. */
export interface Release {
  readonly upTo: bigint;
  readonly reason: string;
}

export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/**
 * The slot gives up its oldest WAL beyond `keep_streamed_max`, and all of it if what may come before the next
 * restartpoint does not fit on the file system any more: a full pg_wal ends the server. Pure.
 */
export function releaseFor(
  { slot, redoLsn, maxWalSize, segmentSize }: SlotFacts,
  { most, free }: Room,
): Release | undefined {
  if (slot?.restartLsn === undefined || slot.heldBytes <= 0) return undefined;
  const tooFull = whyTooFull(free, maxWalSize);
  if (tooFull !== undefined) return { upTo: redoLsn, reason: tooFull };
  if (slot.heldBytes <= most) return undefined;
  const size = BigInt(segmentSize);
  // Whole segments are removed: to the end of the one that is partly beyond the limit.
  const wanted = ((redoLsn - BigInt(most) + size - 1n) / size) * size;
  return {
    upTo: wanted > redoLsn ? redoLsn : wanted,
    reason: `it was more than ${inMegabytes(most)} (keep_streamed_max)`,
  };
}
