import { dirname, join } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import { type Batch, type BatchResult, type Delivery, sendBatch } from '../delivery/delivery.ts';
import { type BatchSource, sendBatches } from '../delivery/pipeline.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { isQueueEmpty, listQueue, removeFromQueue } from '../queue/queue.ts';
import { type WalFile, walFileAt } from '../wal/wal-file.ts';
import type { Lane } from './lane.ts';

/** The limits for one rsync, in files and bytes: enough to reach the link's speed, few enough to stop in time. */
export const batchFiles = 256;
export const batchBytes = 128 * 1024 * 1024;
/** For a long queue only this many names are kept in memory at a time. */
const keptNames = 2_048;

/** A transfer that is slower than this has stalled, whatever rsync's own --timeout says. */
const slowestBytesPerMs = 32;
const shortestTransferMs = 60_000;

export function bytesOf(files: readonly WalFile[]): number {
  return files.reduce((sum, { identity }) => sum + Number(identity.size), 0);
}

/** The time limit of a transfer that nobody waits for. */
export function transferLimitMs({ files }: Batch): number {
  return shortestTransferMs + Math.ceil(bytesOf(files) / slowestBytesPerMs);
}

/** The limits that a sender sets, and the calls by which it learns of progress. */
export interface Pace extends Partial<Pick<BatchSource, 'limitMs' | 'width' | 'transferred'>> {
  /** Whether another batch may begin. */
  readonly mayContinue: () => boolean | Promise<boolean>;
  /** Whether to compress lightly, because the network is faster than the processors. */
  readonly compressesLightly?: () => boolean;
  readonly delivered?: (files: readonly WalFile[]) => void;
}

/** The first files of the list that make one batch; at least one. */
async function nextBatch(
  directory: string,
  names: readonly WalName[],
  compressesLightly: boolean,
): Promise<Batch> {
  const files: WalFile[] = [];
  let bytes = 0;
  for (const name of names.slice(0, batchFiles)) {
    const file = await walFileAt(join(directory, name.text), name);
    bytes += Number(file.identity.size);
    if (files.length > 0 && bytes > batchBytes) break;
    files.push(file);
  }
  return { directory, files, compressesLightly };
}

/** The listed files, until there are none or the pace says no. They are listed again when the list is used up. */
function listedSource(
  directory: string,
  list: () => Promise<readonly WalName[]>,
  pace: Pace,
  safe: (files: readonly WalFile[]) => Promise<void>,
): BatchSource {
  let names: readonly WalName[] = [];
  let uncommitted = 0;
  const next = async (): Promise<Batch | undefined> => {
    // Without a width, the next batch waits for the proof that the last one is safe: it may be the end.
    if (pace.width === undefined && uncommitted > 0) return undefined;
    if (!(await pace.mayContinue())) return undefined;
    // A file that is being sent is still in the directory: listed now, it would be sent twice.
    if (names.length === 0 && uncommitted === 0) names = await list();
    if (names.length === 0) return undefined;
    const batch = await nextBatch(directory, names, pace.compressesLightly?.() ?? false);
    names = names.slice(batch.files.length);
    uncommitted += 1;
    return batch;
  };
  return {
    next,
    transferred: (batch, tookMs) => pace.transferred?.(batch, tookMs),
    committed: async (_, { delivered }) => {
      await safe(delivered);
      uncommitted -= 1;
      if (delivered.length > 0) pace.delivered?.(delivered);
    },
    limitMs: pace.limitMs ?? transferLimitMs,
    width: pace.width ?? (() => 1),
  };
}

export interface QueueResult {
  readonly sent: number;
  readonly isEmpty: boolean;
  readonly trouble: Trouble | undefined;
}

/** Sends what the queue holds, oldest first, and removes what the standby has secured. */
export async function sendQueue(
  deps: ArchiverDeps,
  { queue }: Lane,
  delivery: Delivery,
  pace: Pace,
): Promise<QueueResult> {
  let sent = 0;
  const list = (): Promise<readonly WalName[]> => listQueue(queue, keptNames);
  const source = listedSource(queue, list, pace, async (files) => {
    await removeFromQueue(
      queue,
      files.map(({ name }) => name),
    );
    sent += files.length;
  });
  const trouble = await sendBatches(deps, delivery, source);
  return { sent, isEmpty: trouble === undefined && (await isQueueEmpty(queue)), trouble };
}

export interface DirectResult {
  /** The names of the files that the standby has. */
  readonly shipped: ReadonlySet<string>;
  readonly trouble: Trouble | undefined;
}

/** Sends files directly from pg_wal: nothing recycles them while PostgreSQL is stopped. */
export async function sendStopped(
  deps: ArchiverDeps,
  delivery: Delivery,
  directory: string,
  names: readonly WalName[],
  pace: Pace,
): Promise<DirectResult> {
  const shipped = new Set<string>();
  let left = names;
  const list = (): Promise<readonly WalName[]> => {
    const listed = left;
    left = [];
    return Promise.resolve(listed);
  };
  const source = listedSource(directory, list, pace, (files) => {
    for (const { name } of files) shipped.add(name.text);
    return Promise.resolve();
  });
  const trouble = await sendBatches(deps, delivery, source);
  return { shipped, trouble };
}

/** Sends the one file that PostgreSQL asks for, as it was when it was checked. */
export function sendFile(
  deps: ArchiverDeps,
  delivery: Delivery,
  file: WalFile,
  { limitMs = transferLimitMs }: Pace,
): Promise<BatchResult> {
  const batch = { directory: dirname(file.path), files: [file] };
  return sendBatch(deps, delivery, batch, limitMs(batch));
}

/** The names of the first batch from this queue. */
export async function firstNames({ queue }: Lane): Promise<readonly string[]> {
  return (await listQueue(queue, batchFiles)).map(({ text }) => text);
}
