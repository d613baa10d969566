import { dirname } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import type { Batch, BatchResult } from '../delivery/delivery.ts';
import type { BatchSource } from '../delivery/pipeline.ts';
import { mayBeShort } from '../delivery/take-segment.ts';
import type { Outgoing } from '../frames/frame.ts';
import { batchBytes, batchFiles, bytesOf, type Pace, transferLimitMs } from '../lane/send.ts';
import { removeFromQueue } from '../queue/queue.ts';
import { isWanted, owedTo, type Shipment } from './board.ts';
import { fitQueued, fitShipments, noteSent, releaseFrames, sendsFrames } from './lane-frames.ts';
import type { ShipperLane } from './lane-record.ts';
import { isFast } from './link.ts';
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
    width: () => widthOf(work, lane),
    fit: (batch) => fitQueued(work, lane, batch),
    transferred: (batch, tookMs) => {
      releaseFrames(work, batch.files);
      noteSpeed(lane, batch, tookMs);
    },
    delivered: (files, queuedBytes) => {
      countOut(lane, files.length, queuedBytes);
      noteSent(work, lane, files);
      noteProgress(work, lane);
    },
  };
}

/** The size of the first batches, while nothing is known about the link. */
const firstBatchBytes = 16 * 1024 * 1024;

/**
 * Each batch of frames costs the standby some twenty processes. Smaller ones take longer in the end, and then PostgreSQL waits
 * longer for each segment.
 */
const leastFramedBytes = 64 * 1024 * 1024;

/** The approximate time that rsync takes before its first byte is sent. */
const startMs = 60;

/** PostgreSQL waits for the first file until its whole batch is safe: a batch takes half of that time at most. */
export function bytesAtOnce(work: Work, lane: ShipperLane): number {
  if (lane.bytesPerMs === 0) return firstBatchBytes;
  return Math.min(batchBytes, lane.bytesPerMs * targetMs(work));
}

function targetMs({ deps }: Work): number {
  return Math.min(2_000, Math.max(100, deps.settings.queue_after * 500));
}

/**
 * How long a batch of frames takes depends more on the processors that all lanes share than on the link: of the next
 * batch as much is taken as would have kept to the same limit.
 */
function noteFramed(work: Work, lane: ShipperLane, batch: Batch, tookMs: number): void {
  const bytes = bytesOf(batch.files);
  const factor = Math.min(2, Math.max(1 / 2, targetMs(work) / Math.max(1, tookMs)));
  // A batch that was small for want of files shows only what is too much.
  if (factor < 1 || bytes >= lane.framedBytes / 2)
    lane.framedBytes = Math.min(batchBytes, Math.max(leastFramedBytes, bytes * factor));
}

/**
 * On a fast link a single rsync leaves the processors idle while it starts and ends. On a slow link a second one
 * would only slow the first one down, for which PostgreSQL waits; and each uses as much as --bwlimit allows. Frames
 * take little time to travel, and each session that brings some costs the same: while one is under way, the next ones
 * gather.
 */
function widthOf(work: Work, lane: ShipperLane): number {
  return isFast(work, lane) && !sendsFrames(work, lane) ? 2 : 1;
}

/** The size of those behind the first one, for which alone PostgreSQL waits then. */
const secondBatchBytes = 64 * 1024 * 1024;

/** A smaller batch costs more than it saves. */
const smallestShareBytes = 32 * 1024 * 1024;

/**
 * The last batches become smaller: they travel side by side until the end, and little is left to flush and to mark then.
 */
function shareBytes(work: Work, lane: ShipperLane, left: readonly Shipment[]): number {
  if (sendsFrames(work, lane)) return lane.framedBytes;
  const bytes = left.reduce((sum, { file }) => sum + Number(file.identity.size), 0);
  const isSecond = lane.bytesPerMs === 0 && lane.inFlight.size > 0;
  const mostBytes = isSecond ? secondBatchBytes : bytesAtOnce(work, lane);
  return Math.min(mostBytes, Math.max(smallestShareBytes, bytes / widthOf(work, lane)));
}

function pickDirect(work: Work, lane: ShipperLane): Shipment[] {
  const left = owedTo(work.board, lane.name).filter(({ file }) => !lane.inFlight.has(file.name.text));
  const mostBytes = shareBytes(work, lane, left);
  const picked: Shipment[] = [];
  let bytes = 0;
  for (const shipment of left) {
    bytes += Number(shipment.file.identity.size);
    if (picked.length > 0 && bytes > mostBytes) break;
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

/** A lone segment of few bytes is better off without a frame: it needs no rsync. */
async function fit(
  work: Work,
  lane: ShipperLane,
  picked: readonly Shipment[],
  isAlone: boolean,
): Promise<readonly Outgoing[]> {
  const [first] = picked;
  if (isAlone && lane.taker !== undefined && first !== undefined && (await mayBeShort(first.file)))
    return [first.file];
  const owed = owedTo(work.board, lane.name);
  const ahead = owed.filter(({ file }) => !lane.inFlight.has(file.name.text));
  return fitShipments(work, lane, picked, ahead);
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
  const beganMs = new WeakMap<Batch, number>();
  const mayGoOn = (): boolean =>
    !isStopped(work) && !lane.isBehind && !lane.isAbandoned && work.deps.monotonicMs() < untilMs;
  const next = async (): Promise<Batch | undefined> => {
    if (!mayGoOn()) return undefined;
    const picked = pickDirect(work, lane);
    const [first] = picked;
    if (first === undefined) return undefined;
    const isQuick = isFast(work, lane);
    // A slow link gains more from rsync's compression, and a limit of the bandwidth is rsync's to keep.
    const isAlone = isQuick && owedTo(work.board, name).length === 1;
    const files = await fit(work, lane, picked, isAlone);
    const shipments = picked.slice(0, files.length);
    const isOwed = ({ owed }: Shipment): boolean => owed.has(name);
    if (!mayGoOn() || !shipments.every((each) => isWanted(work.board, each) && isOwed(each))) {
      releaseFrames(work, files);
      return undefined;
    }
    for (const shipment of shipments) {
      shipment.readers.add(name);
      lane.inFlight.add(shipment.file.name.text);
    }
    const directory = dirname(first.file.path);
    const batch = { directory, files, compressesLightly: isQuick, isAlone };
    shipmentsOf.set(batch, shipments);
    beganMs.set(batch, work.deps.monotonicMs());
    return batch;
  };
  return {
    next,
    transferred: (batch, tookMs) => {
      for (const { readers } of shipmentsOf.get(batch) ?? []) readers.delete(name);
      releaseFrames(work, batch.files);
      work.decide.wake();
      noteSpeed(lane, batch, tookMs);
    },
    committed: async (batch, result) => {
      if (batch.files.some(({ frame }) => frame !== undefined))
        noteFramed(work, lane, batch, work.deps.monotonicMs() - (beganMs.get(batch) ?? 0));
      const shipments = shipmentsOf.get(batch) ?? [];
      shipmentsOf.delete(batch);
      await settleDirect(work, lane, shipments, result);
    },
    limitMs: transferLimitMs,
    width: () => widthOf(work, lane),
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
