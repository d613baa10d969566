/**
 * Frames for the lanes of one shipper: a segment that several standbys still need, from pg_wal or from their queues, is
 * compressed once.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { settlesWithin } from '../../system/clock.ts';
import { mkdir, removeFile, removeTree } from '../../system/files.ts';
import type { Batch } from '../delivery/delivery.ts';
import { findZstd, type Frame, type Outgoing } from '../frames/frame.ts';
import { createFrameStore, type FrameStore } from '../frames/store.ts';
import { findNoSpace } from '../lane/policy.ts';
import { identityOf, isSameFile, type WalFile } from '../wal/wal-file.ts';
import type { Shipment } from './board.ts';
import type { ShipperLane } from './lane-record.ts';
import { isFast } from './link.ts';
import { runToEnd } from './run-to-end.ts';
import type { Work } from './work.ts';

/** From this number of standbys on that need the same segment, compressing it once is worth it. */
const fewest = { overSlowLink: 2, overFastLink: 3 } as const;
/** The room that the frames take at most. */
const mostBytes = 256 * 1024 * 1024;
/** Each lane would read them again, at its own pace. */
const keptBytes = 64 * 1024 * 1024;
const mostSlots = 4;
/** While a batch travels, frames of the next ones are made. */
const aheadFiles = 16;
/** Milliseconds for each second of `queue_after`, after which PostgreSQL's segment is queued. */
const gatherPart = 250;
/** A segment of 1 GB is compressed within this time. */
const longestWaitMs = 10_000;

/** Among the readers of a shipment: no standby has such a name. */
const compressor = '(zstd)';

/** All frames of one shipper. */
export interface Frames {
  readonly store: FrameStore;
  /** The standbys that have a segment in their queues, by its name; of an older queue, not before it is sent. */
  readonly queued: Map<string, Set<string>>;
}

/** The lanes wait for what is made here: it must not wait for them. */
function slots(): number {
  return Math.min(mostSlots, availableParallelism());
}

async function openFrames({ deps, board, decide }: Work): Promise<Frames | undefined> {
  const { layout, settings, log, monotonicMs } = deps;
  const zstd = await findZstd(settings);
  if (zstd === undefined) return undefined;
  // A zstd that outlived its shipper may still write into another one.
  const directory = join(layout.frames, deps.nonce());
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const store = createFrameStore({
    tools: { run: runToEnd(deps.startSession), zstd },
    directory,
    slots: slots(),
    maxBytes: mostBytes,
    keptBytes,
    hasRoom: async (bytes) => (await findNoSpace(deps, bytes)) === undefined,
    reads: ({ name, path }, isReading) => {
      const shipment = board.shipments.get(name.text);
      // Nothing overwrites a file of a queue.
      if (shipment?.file.path !== path) return;
      if (isReading) shipment.readers.add(compressor);
      else shipment.readers.delete(compressor);
      decide.wake();
    },
    remove: removeFile,
    monotonicMs,
    log,
  });
  return { store, queued: new Map() };
}

/** The frames of an earlier shipper are removed, whether or not there is a zstd now. Without frames, everything works as well. */
export async function prepareFrames(work: Work): Promise<void> {
  const { layout, log } = work.deps;
  try {
    await removeTree(layout.frames);
    work.frames = await openFrames(work);
  } catch (error) {
    log.debug(`no frames are made: ${messageOf(error)}`);
  }
}

export async function endFrames({ deps, frames }: Work): Promise<void> {
  frames?.store.end();
  // The next shipper removes what cannot be removed now.
  await removeTree(deps.layout.frames).catch(() => undefined);
}

/** Over a fast link, two standbys take longer to unpack than this host to compress for each of them. */
function leastStandbys(work: Work, lane: ShipperLane): number {
  return isFast(work, lane) ? fewest.overFastLink : fewest.overSlowLink;
}

/** Whether it is one of several lanes that share frames. */
export function sendsFrames(work: Work, lane: ShipperLane): boolean {
  const { frames, lanes } = work;
  if (frames === undefined || !lane.acceptsFrames()) return false;
  return lanes.filter((each) => each.acceptsFrames()).length >= leastStandbys(work, lane);
}

/** How many standbys still need this segment and would take its frame. */
function countTakers({ board, frames, lanes }: Work, name: string): number {
  const owed = board.shipments.get(name)?.owed;
  const queued = frames?.queued.get(name);
  return lanes.filter((lane) => {
    const lacksIt = owed?.has(lane.name) === true || queued?.has(lane.name) === true;
    return lacksIt && lane.acceptsFrames();
  }).length;
}

/** The queues share one copy by hard links. */
async function findQueued({ lanes }: Work, { name, identity }: WalFile): Promise<Set<string>> {
  const found = new Set<string>();
  for (const lane of lanes) {
    const there = await identityOf(join(lane.queue, name.text)).catch(() => undefined);
    if (there !== undefined && isSameFile(there, identity)) found.add(lane.name);
  }
  return found;
}

/** A file of pg_wal has been queued for a lane: the frame of the one is the frame of the other. */
export async function noteQueued(work: Work, lane: ShipperLane, file: WalFile): Promise<void> {
  const { frames } = work;
  const { text } = file.name;
  const frame = frames?.store.now(file);
  // One that is still being made is given up: PostgreSQL must not wait for what reads its file.
  if (frames === undefined || frame === undefined || frame === 'coming') return;
  // One that is away may stay away for long. When it sends its queue, its copies are found there.
  if (lane.acceptsFrames()) frames.queued.set(text, (frames.queued.get(text) ?? new Set()).add(lane.name));
  const copy = await identityOf(join(lane.queue, text)).catch(() => undefined);
  if (copy !== undefined) frames.store.noteCopy(file, copy);
}

/** The frame of the file. A zstd that hangs is given up. */
async function frameOf(store: FrameStore, file: WalFile): Promise<Frame | undefined> {
  const frame = store.settled(file);
  if (await settlesWithin(frame, longestWaitMs)) return frame;
  store.rest(`zstd has not ended within ${longestWaitMs / 1000} s`);
  return undefined;
}

/** Waits a little for frames that are being made: a session for each single one would cost more than they do. */
async function gather({ deps }: Work, store: FrameStore, files: readonly WalFile[]): Promise<void> {
  const all = Promise.all(files.map((file) => store.settled(file)));
  await settlesWithin(all, deps.settings.queue_after * gatherPart);
}

/**
 * The first ones of these files, all with frames or all as they are. Waits for the frame of the first one, if it was
 * asked for, and takes those behind it that exist soon.
 */
async function fit(work: Work, store: FrameStore, files: readonly WalFile[]): Promise<readonly Outgoing[]> {
  const [first] = files;
  if (first === undefined) return [];
  if ((await frameOf(store, first)) === undefined) {
    const behind = files.findIndex((file) => store.now(file) !== undefined);
    return behind < 0 ? files : files.slice(0, Math.max(1, behind));
  }
  await gather(work, store, files);
  const framed: Outgoing[] = [];
  for (const file of files) {
    const frame = store.now(file);
    if (frame === undefined || frame === 'coming') break;
    framed.push({ ...file, frame });
  }
  for (const file of framed) store.use(file, 1);
  // None if another part has found meanwhile that nobody needs them.
  return framed.length > 0 ? framed : [first];
}

/** While the first frames are made, the session begins that brings them over a fast link. */
function prepareTaker(work: Work, lane: ShipperLane): void {
  if (sendsFrames(work, lane) && isFast(work, lane)) lane.taker?.prepare();
}

/**
 * The first ones of these shipments, as they can travel now.
 *
 * @param ahead what the lane needs, in its order
 */
export async function fitShipments(
  work: Work,
  lane: ShipperLane,
  picked: readonly Shipment[],
  ahead: readonly Shipment[],
): Promise<readonly Outgoing[]> {
  const { frames } = work;
  const files = picked.map(({ file }) => file);
  if (frames === undefined || !lane.acceptsFrames()) return files;
  for (const { file } of ahead.slice(0, Math.max(picked.length, aheadFiles)))
    if (countTakers(work, file.name.text) >= leastStandbys(work, lane)) frames.store.ask(file);
  prepareTaker(work, lane);
  return fit(work, frames.store, files);
}

/** The first files of a batch from a lane's queue, as they can travel now. */
export async function fitQueued(work: Work, lane: ShipperLane, batch: Batch): Promise<Batch> {
  const { frames } = work;
  // With queue_compress, it has frames already, or their content beside the queue.
  const isPlain = batch.directory === lane.queue && batch.files.every(({ frame }) => frame === undefined);
  if (frames === undefined || !isPlain || !lane.acceptsFrames()) return batch;
  for (const file of batch.files) {
    const { text } = file.name;
    const queued = frames.queued.get(text) ?? (await findQueued(work, file));
    frames.queued.set(text, queued.add(lane.name));
    if (countTakers(work, text) >= leastStandbys(work, lane)) frames.store.ask(file);
  }
  prepareTaker(work, lane);
  return { ...batch, files: await fit(work, frames.store, batch.files) };
}

/** Removes the frames that no lane needs any more. */
export function dropFrames(work: Work): void {
  work.frames?.store.keep((name) => countTakers(work, name) > 0);
}

/** The transfer of these files has ended. */
export function releaseFrames(work: Work, files: readonly Outgoing[]): void {
  for (const file of files) if (file.frame !== undefined) work.frames?.store.use(file, -1);
  dropFrames(work);
}

/** These have left the lane's queue. */
export function noteSent(work: Work, lane: ShipperLane, files: readonly WalFile[]): void {
  for (const { name } of files) {
    const queued = work.frames?.queued.get(name.text);
    queued?.delete(lane.name);
    if (queued?.size === 0) work.frames?.queued.delete(name.text);
  }
  dropFrames(work);
}

/** Its connection has ended, and its queue may go. */
export function forgetQueued({ frames }: Work, lane: ShipperLane): void {
  for (const [name, queued] of frames?.queued ?? []) {
    queued.delete(lane.name);
    if (queued.size === 0) frames?.queued.delete(name);
  }
}
