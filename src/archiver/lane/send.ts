import { dirname, join } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import { type Batch, type BatchResult, type Delivery, sendBatch } from '../delivery/delivery.ts';
import { type BatchSource, sendBatches } from '../delivery/pipeline.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { contentBytes, type Outgoing } from '../frames/frame.ts';
import { acceptsFrames } from '../frames/frame-use.ts';
import { type FromQueue, nextFromQueue } from '../queue/outgoing.ts';
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

export function bytesOf(files: readonly Outgoing[]): number {
  return files.reduce((sum, file) => sum + contentBytes(file), 0);
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
  /** `queuedBytes`: what they took in the queue. */
  readonly delivered?: (files: readonly Outgoing[], queuedBytes: number) => void;
  /** The first files of a batch, as they can travel now. */
  readonly fit?: (batch: Batch) => Promise<Batch>;
}

type Names = readonly [WalName, ...WalName[]];

/** The first files of the list that make one batch, from pg_wal; at least one. */
async function nextFromWal(directory: string, names: Names, compressesLightly: boolean): Promise<FromQueue> {
  const files: WalFile[] = [];
  let bytes = 0;
  for (const name of names.slice(0, batchFiles)) {
    const file = await walFileAt(join(directory, name.text), name);
    bytes += Number(file.identity.size);
    if (files.length > 0 && bytes > batchBytes) break;
    files.push(file);
  }
  const release = (): Promise<void> => Promise.resolve();
  return { kind: 'batch', batch: { directory, files, compressesLightly }, release };
}

/** Files that are sent by their names. */
interface Listed {
  readonly list: () => Promise<readonly WalName[]>;
  /** The first of these files that make one batch; at least one. */
  readonly take: (names: Names, compressesLightly: boolean) => Promise<FromQueue>;
  /** Notes that these are safe. Returns what they took in a queue. */
  readonly safe: (files: readonly Outgoing[]) => Promise<number>;
}

/** Why no more is taken from a list, although the list has more. */
type Stop = { readonly trouble: Trouble } | { readonly error: unknown };

/** The listed files, until there are none or the pace says no. They are listed again when the list is used up. */
function listedSource({ list, take, safe }: Listed, pace: Pace) {
  let names: readonly WalName[] = [];
  let uncommitted = 0;
  const state = { stop: undefined as Stop | undefined };
  const releases = new Map<Batch, () => Promise<void>>();
  const releasing: Promise<void>[] = [];
  const next = async (): Promise<Batch | undefined> => {
    // Without a width, the next batch waits for the proof that the last one is safe: it may be the end.
    if (state.stop !== undefined || (pace.width === undefined && uncommitted > 0)) return undefined;
    if (!(await pace.mayContinue())) return undefined;
    // A file that is being sent is still in the directory: listed now, it would be sent twice.
    if (names.length === 0 && uncommitted === 0) names = await list();
    const [first, ...rest] = names;
    if (first === undefined) return undefined;
    const taken = await take([first, ...rest], pace.compressesLightly?.() ?? false);
    if (taken.kind === 'stuck') {
      state.stop = taken;
      return undefined;
    }
    const batch = (await pace.fit?.(taken.batch)) ?? taken.batch;
    releases.set(batch, taken.release);
    names = names.slice(batch.files.length);
    uncommitted += 1;
    return batch;
  };
  const source: BatchSource = {
    next: () =>
      next().catch((error: unknown) => {
        // The batches that travel already end first.
        state.stop = { error };
        return undefined;
      }),
    transferred: (batch, tookMs) => {
      const release = releases.get(batch);
      releases.delete(batch);
      if (release !== undefined) releasing.push(release().catch(() => undefined));
      pace.transferred?.(batch, tookMs);
    },
    committed: async (_, { delivered }) => {
      const queuedBytes = await safe(delivered);
      uncommitted -= 1;
      if (delivered.length > 0) pace.delivered?.(delivered, queuedBytes);
    },
    limitMs: pace.limitMs ?? transferLimitMs,
    width: pace.width ?? (() => 1),
  };
  return { source, stop: () => state.stop, released: () => Promise.all(releasing) };
}

/** Sends the listed files. If one cannot be sent from where it lies, those before it are. */
async function sendListed(
  deps: ArchiverDeps,
  delivery: Delivery,
  listed: Listed,
  pace: Pace,
): Promise<Trouble | undefined> {
  const { source, stop, released } = listedSource(listed, pace);
  const trouble = await sendBatches(deps, delivery, source).finally(released);
  const why = stop();
  if (trouble !== undefined || why === undefined) return trouble;
  if ('error' in why) throw why.error;
  return why.trouble;
}

export interface QueueResult {
  readonly sent: number;
  readonly isEmpty: boolean;
  readonly trouble: Trouble | undefined;
}

/** Sends what the queue holds, oldest first, and removes what the standby has secured. */
export async function sendQueue(
  deps: ArchiverDeps,
  lane: Lane,
  delivery: Delivery,
  pace: Pace,
): Promise<QueueResult> {
  const { queue } = lane;
  const limits = { files: batchFiles, bytes: batchBytes };
  const takesFrames = acceptsFrames(delivery);
  let sent = 0;
  const listed: Listed = {
    list: () => listQueue(queue, keptNames),
    take: (names, compressesLightly) =>
      nextFromQueue({ deps, lane, limits, takesFrames: takesFrames(), compressesLightly }, names),
    safe: (files) => {
      sent += files.length;
      return removeFromQueue(
        queue,
        files.map(({ name }) => name),
      );
    },
  };
  let trouble = await sendListed(deps, delivery, listed, pace);
  // Frames rest then.
  if (trouble?.isOfFrames === true) trouble = await sendListed(deps, delivery, listed, pace);
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
  const listed: Listed = {
    list,
    take: (some, compressesLightly) => nextFromWal(directory, some, compressesLightly),
    safe: (files) => {
      for (const { name } of files) shipped.add(name.text);
      return Promise.resolve(0);
    },
  };
  const trouble = await sendListed(deps, delivery, listed, pace);
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
