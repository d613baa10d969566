import { dirname } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import type { Batch, BatchResult } from '../delivery.ts';
import { bytesOf, nextBatch } from '../lane.ts';
import { queueOf } from '../layout.ts';
import { listQueue, removeFromQueue } from '../queue.ts';
import { isWanted, owedTo, type Shipment } from './board.ts';
import type { Lane } from './lane-record.ts';
import type { BatchSource } from './pipeline.ts';
import { isStopped, type Work } from './work.ts';

/** What is slower than this has stalled, whatever rsync's own --timeout says. */
const slowestBytesPerMs = 32;
const shortestTransferMs = 60_000;

function transferLimitMs(batch: Batch): number {
  return shortestTransferMs + Math.ceil(bytesOf(batch) / slowestBytesPerMs);
}

function noteProgress(work: Work, lane: Lane): void {
  work.lastProgressMs = work.deps.now();
  lane.lastDeliveredMs = work.lastProgressMs;
}

/** Files of the queue that left it, for the count that `queue_max` is held against. */
function countOut(lane: Lane, result: BatchResult): void {
  if (lane.queueUse === undefined) return;
  const bytes = result.delivered.reduce((sum, { identity }) => sum + Number(identity.size), 0);
  lane.queueUse = {
    files: Math.max(0, lane.queueUse.files - result.delivered.length),
    bytes: Math.max(0, lane.queueUse.bytes - bytes),
  };
}

/** What waits in the queue, oldest first, until it is empty or `untilMs` has come. The directory is listed when a list is used up. */
export function queueSource(work: Work, lane: Lane, untilMs: number): BatchSource {
  const queue = queueOf(work.layout, lane.standby.name);
  let names: readonly WalName[] = [];
  let sent = 0;
  let uncommitted = 0;
  const next = async (): Promise<Batch | undefined> => {
    if (isStopped(work) || work.deps.now() >= untilMs) return undefined;
    if (sent >= names.length) {
      // What is on its way still lies in the queue: listed now, it would be sent twice.
      if (uncommitted > 0) return undefined;
      names = (await listQueue(queue)).slice(0, keptNames);
      sent = 0;
      if (names.length === 0) return undefined;
    }
    const batch = await nextBatch(queue, names.slice(sent, sent + longestList));
    sent += batch.files.length;
    uncommitted += 1;
    return batch;
  };
  return {
    next,
    transferred: () => undefined,
    committed: async (_, result) => {
      uncommitted -= 1;
      await removeFromQueue(
        queue,
        result.delivered.map(({ name }) => name),
      );
      countOut(lane, result);
      if (result.delivered.length > 0) noteProgress(work, lane);
    },
    limitMs: transferLimitMs,
  };
}

/** Of a long queue only so many names are kept in memory at a time. */
const keptNames = 2_048;

/** No batch has more files. */
const longestList = 64;

/** Of the first batch, while nothing is known of the link. */
const firstBatchBytes = 16 * 1024 * 1024;
const mostBatchBytes = 128 * 1024 * 1024;

/** PostgreSQL waits for the first file until its whole batch is safe: a batch takes half of that time at most. */
function batchBytes(work: Work, lane: Lane): number {
  if (lane.bytesPerMs === 0) return firstBatchBytes;
  const targetMs = Math.min(2_000, Math.max(100, work.deps.settings.queue_after * 500));
  return Math.min(mostBatchBytes, lane.bytesPerMs * targetMs);
}

function pickDirect(work: Work, lane: Lane): Shipment[] {
  const picked: Shipment[] = [];
  let bytes = 0;
  for (const shipment of owedTo(work.board, lane.standby.name)) {
    if (lane.inFlight.has(shipment.file.name.name)) continue;
    bytes += Number(shipment.file.identity.size);
    if (picked.length > 0 && bytes > batchBytes(work, lane)) break;
    picked.push(shipment);
    if (picked.length >= longestList) break;
  }
  return picked;
}

function noteSpeed(lane: Lane, batch: Batch, tookMs: number): void {
  const speed = bytesOf(batch) / Math.max(1, tookMs);
  lane.bytesPerMs = lane.bytesPerMs === 0 ? speed : (lane.bytesPerMs + speed) / 2;
}

export interface DirectSource extends BatchSource {
  /** Whether PostgreSQL has taken back one of the files that were being read. */
  readonly wasOvertaken: () => boolean;
}

/** What PostgreSQL has ready, straight from pg_wal: only as long as the lane is not behind. */
export function directSource(work: Work, lane: Lane): DirectSource {
  const { name } = lane.standby;
  let reading: Shipment[] = [];
  let last: readonly Shipment[] = [];
  const shipmentsOf = new Map<Batch, readonly Shipment[]>();
  const stopReading = (): void => {
    for (const shipment of reading) shipment.readers.delete(name);
    reading = [];
    work.decide.wake();
  };
  const next = (): Promise<Batch | undefined> => {
    if (isStopped(work) || lane.isBehind) return Promise.resolve(undefined);
    reading = pickDirect(work, lane);
    const [first] = reading;
    if (first === undefined) return Promise.resolve(undefined);
    for (const shipment of reading) {
      shipment.readers.add(name);
      lane.inFlight.add(shipment.file.name.name);
    }
    last = reading;
    const batch = { directory: dirname(first.file.path), files: reading.map(({ file }) => file) };
    shipmentsOf.set(batch, reading);
    return Promise.resolve(batch);
  };
  return {
    next,
    transferred: (batch, tookMs) => {
      stopReading();
      noteSpeed(lane, batch, tookMs);
    },
    committed: async (batch, result) => {
      const shipments = shipmentsOf.get(batch) ?? [];
      shipmentsOf.delete(batch);
      await settleDirect(work, lane, shipments, result);
    },
    limitMs: transferLimitMs,
    wasOvertaken: () => last.some((shipment) => !isWanted(work.board, shipment)),
  };
}

/** A file that was queued while it travelled need not be sent again. */
async function settleDirect(
  work: Work,
  lane: Lane,
  shipments: readonly Shipment[],
  result: BatchResult,
): Promise<void> {
  const { name } = lane.standby;
  const delivered = new Set(result.delivered.map((file) => file.name.name));
  const queued: WalName[] = [];
  for (const shipment of shipments) {
    const segment = shipment.file.name;
    lane.inFlight.delete(segment.name);
    if (!delivered.has(segment.name)) continue;
    if (!shipment.owed.delete(name)) queued.push(segment);
  }
  if (queued.length > 0) {
    await removeFromQueue(queueOf(work.layout, name), queued);
    lane.queueUse = undefined;
  }
  if (delivered.size > 0) noteProgress(work, lane);
  work.decide.wake();
}
