import { dirname } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import type { Batch, BatchResult } from '../delivery/delivery.ts';
import type { BatchSource } from '../delivery/pipeline.ts';
import { batchBytes, batchFiles, bytesOf, type Pace, transferLimitMs } from '../lane/send.ts';
import { removeFromQueue } from '../queue/queue.ts';
import { isWanted, owedTo, type Shipment } from './board.ts';
import type { ShipperLane } from './lane-record.ts';
import { isStopped, type Work } from './work.ts';

function noteProgress(work: Work, lane: ShipperLane): void {
  work.lastProgressMs = work.deps.monotonicMs();
  lane.lastDeliveredMs = work.lastProgressMs;
}

/** The files that have left the queue, for the count that `queue_max` limits. */
function countOut(lane: ShipperLane, files: number, bytes: number): void {
  if (lane.queueUse === undefined) return;
  lane.queueUse = {
    files: Math.max(0, lane.queueUse.files - files),
    bytes: Math.max(0, lane.queueUse.bytes - bytes),
  };
}

/** How the shipper sends a queue: until `untilMs` has come. */
export function queuePace(work: Work, lane: ShipperLane, untilMs: number): Pace {
  return {
    mayContinue: () => !isStopped(work) && work.deps.monotonicMs() < untilMs,
    compressesLightly: () => isFast(work, lane),
    width: () => (isFast(work, lane) ? 2 : 1),
    transferred: (batch, tookMs) => {
      noteSpeed(lane, batch, tookMs);
    },
    delivered: ({ length }, queuedBytes) => {
      countOut(lane, length, queuedBytes);
      noteProgress(work, lane);
    },
  };
}

/** The size of the first batches, while nothing is known about the link. */
const firstBatchBytes = 16 * 1024 * 1024;

/** The approximate time that rsync takes before its first byte is sent. */
const startMs = 60;

/** PostgreSQL waits for the first file until its whole batch is safe: a batch takes half of that time at most. */
export function bytesAtOnce(work: Work, lane: ShipperLane): number {
  if (lane.bytesPerMs === 0) return firstBatchBytes;
  const targetMs = Math.min(2_000, Math.max(100, work.deps.settings.queue_after * 500));
  return Math.min(batchBytes, lane.bytesPerMs * targetMs);
}

const fastBytesPerMs = 16_000;

/**
 * On a fast link a single rsync leaves the processors idle while it starts and ends. On a slow link a second one
 * would only slow the first one down, for which PostgreSQL waits; and each uses as much as --bwlimit allows.
 */
function isFast({ deps }: Work, { standby, bytesPerMs }: ShipperLane): boolean {
  if ((deps.settings.ship_bwlimit ?? 0) > 0) return false;
  if (standby.rsync_flags.some((flag) => flag.startsWith('--bwl'))) return false;
  return bytesPerMs === 0 || bytesPerMs >= fastBytesPerMs;
}

function pickDirect(work: Work, lane: ShipperLane): Shipment[] {
  const picked: Shipment[] = [];
  let bytes = 0;
  for (const shipment of owedTo(work.board, lane.name)) {
    if (lane.inFlight.has(shipment.file.name.text)) continue;
    bytes += Number(shipment.file.identity.size);
    if (picked.length > 0 && bytes > bytesAtOnce(work, lane)) break;
    picked.push(shipment);
    if (picked.length >= batchFiles) break;
  }
  return picked;
}

/** A transfer that is too short says nothing about the speed. */
const tellingBytes = 512 * 1024;

function noteSpeed(lane: ShipperLane, batch: Batch, tookMs: number | undefined): void {
  const bytes = bytesOf(batch.files);
  if (tookMs === undefined || bytes < tellingBytes) return;
  const speed = bytes / Math.max(1, tookMs / 3, tookMs - startMs);
  lane.bytesPerMs = lane.bytesPerMs === 0 ? speed : (lane.bytesPerMs + speed) / 2;
}

export interface DirectSource extends BatchSource {
  /** Whether PostgreSQL has recycled one of the files that were being read. */
  readonly wasOvertaken: () => boolean;
}

/**
 * The files that PostgreSQL has ready, directly from pg_wal: only while the lane is not behind, and until `untilMs`.
 */
export function directSource(work: Work, lane: ShipperLane, untilMs: number): DirectSource {
  const { name } = lane;
  const shipmentsOf = new Map<Batch, readonly Shipment[]>();
  const next = (): Promise<Batch | undefined> => {
    const isOver = work.deps.monotonicMs() >= untilMs;
    if (isStopped(work) || lane.isBehind || lane.isAbandoned || isOver) return Promise.resolve(undefined);
    const picked = pickDirect(work, lane);
    const [first] = picked;
    if (first === undefined) return Promise.resolve(undefined);
    for (const shipment of picked) {
      shipment.readers.add(name);
      lane.inFlight.add(shipment.file.name.text);
    }
    const files = picked.map(({ file }) => file);
    const isQuick = isFast(work, lane);
    const batch = {
      directory: dirname(first.file.path),
      files,
      compressesLightly: isQuick,
      // A slow link gains more from rsync's compression, and a limit of the bandwidth is rsync's to keep.
      isAlone: isQuick && owedTo(work.board, name).length === 1,
    };
    shipmentsOf.set(batch, picked);
    return Promise.resolve(batch);
  };
  return {
    next,
    transferred: (batch, tookMs) => {
      for (const { readers } of shipmentsOf.get(batch) ?? []) readers.delete(name);
      work.decide.wake();
      noteSpeed(lane, batch, tookMs);
    },
    committed: async (batch, result) => {
      const shipments = shipmentsOf.get(batch) ?? [];
      shipmentsOf.delete(batch);
      await settleDirect(work, lane, shipments, result);
    },
    limitMs: transferLimitMs,
    width: () => (isFast(work, lane) ? 2 : 1),
    wasOvertaken: () => [...shipmentsOf.values()].flat().some((shipment) => !isWanted(work.board, shipment)),
  };
}

/** A file that was queued while it was being sent need not be sent again. */
async function settleDirect(
  work: Work,
  lane: ShipperLane,
  shipments: readonly Shipment[],
  result: BatchResult,
): Promise<void> {
  const { name } = lane;
  const delivered = new Set(result.delivered.map((file) => file.name.text));
  const queued: WalName[] = [];
  for (const shipment of shipments) {
    const segment = shipment.file.name;
    lane.inFlight.delete(segment.text);
    // The standby was abandoned while the file was being sent: the file counts as lost, wherever it arrived.
    if (!delivered.has(segment.text) || lane.isAbandoned) continue;
    if (!shipment.owed.delete(name)) queued.push(segment);
  }
  if (queued.length > 0) {
    await removeFromQueue(lane.queue, queued);
    lane.queueUse = undefined;
  }
  if (delivered.size > 0) noteProgress(work, lane);
  work.decide.wake();
}
