import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { checkSegmentHeader, longHeaderBytes } from '../../postgres/wal-header.ts';
import { settlesWithin } from '../../system/clock.ts';
import { isOfTheWay } from '../../system/rsync.ts';
import {
  formatFrameOffer,
  formatOffer,
  largestTaken,
  mostTakenBytes,
  type Offer,
} from '../../verbs/scripts/take.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Frame, type Outgoing, piecesOf } from '../frames/frame.ts';
import type { WalFile } from '../wal/wal-file.ts';
import type { Delivery } from './delivery.ts';
import { openTakeSession, type Receiver, type TakeSession } from './take-session.ts';

/**
 * Brings one segment into the inbox of a standby without rsync. Only `true` means that it is there, proved and flushed;
 * after any other answer, and whenever there is none, rsync sends it. The file is not read any more when this settles.
 */
export type TakeSegment = (file: WalFile, stop?: AbortSignal) => Promise<boolean>;

/** The same for the frames of a batch, which the commit proves. It may take so many milliseconds. */
export type TakeFrames = (files: readonly Outgoing[], mostMs: number, stop?: AbortSignal) => Promise<boolean>;

export interface SegmentTaker {
  /** Starts the session: frames will come soon. */
  readonly prepare: () => void;
  readonly take: TakeSegment;
  readonly takeFrames: TakeFrames;
  readonly end: () => void;
}

/** rsync needs less than this for a whole segment, unless the standby hangs. */
const limitMs = 5_000;
/** An exchange that takes longer than this is no gain: rsync compresses. */
const slowMs = 2_000;
/** A session that takes longer to begin is not waited for. */
const beginMs = 3_000;
/** How long rsync does all of it after a failure, or after an exchange that was slow. */
const restMs = 60_000;

interface Content {
  readonly bytes: Buffer;
  readonly offer: Offer;
}

const chunkBytes = 1024 * 1024;
const zeros = Buffer.alloc(chunkBytes);

/** The place behind the last byte that is not zero. */
function endOfUsed(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

/** Whether segments may reach this standby without rsync. */
export function mayTake({
  takesSegments,
  place,
  rsync,
}: Pick<Delivery, 'takesSegments' | 'place' | 'rsync'>): boolean {
  return takesSegments === true && place.mode === 'store' && rsync.flags.every(isOfTheWay);
}

/** A first look: no page of it is used behind the bytes that can travel in this way. */
export async function mayBeShort({ path }: WalFile): Promise<boolean> {
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return false;
  try {
    const header = Buffer.alloc(longHeaderBytes);
    await handle.read(header, 0, header.length, mostTakenBytes);
    return header.equals(zeros.subarray(0, header.length));
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}

/** rsync would leave the group its rights. */
function isForOthers({ mode }: { readonly mode: number }): boolean {
  return (mode & 0o077) !== 0;
}

async function areForOthers(files: readonly WalFile[]): Promise<boolean> {
  for (const { path } of files) if (isForOthers(await stat(path))) return true;
  return false;
}

/** Undefined if more of the file is used than travels in this way, if others may read it, or if it cannot be read. */
async function readUsed(path: string, size: number): Promise<Buffer | undefined> {
  const handle = await open(path, 'r');
  try {
    if (isForOthers(await handle.stat())) return undefined;
    const start = Buffer.alloc(mostTakenBytes);
    const { bytesRead } = await handle.read(start, 0, mostTakenBytes, 0);
    if (bytesRead !== Math.min(size, mostTakenBytes)) return undefined;
    const chunk = Buffer.alloc(Math.min(chunkBytes, size));
    for (let at = bytesRead; at < size;) {
      const read = await handle.read(chunk, 0, Math.min(chunk.length, size - at), at);
      const { bytesRead: count } = read;
      if (count === 0 || !chunk.subarray(0, count).equals(zeros.subarray(0, count))) return undefined;
      at += count;
    }
    return start.subarray(0, endOfUsed(start.subarray(0, bytesRead)));
  } finally {
    await handle.close();
  }
}

/**
 * The content of a segment that can travel in this way. The bytes themselves are judged once more: they are what the
 * standby gets. (Which timelines are ancestors was judged when the file was taken.)
 */
export async function contentOf(
  { name, path, identity }: WalFile,
  systemIdentifier: string,
): Promise<Content | undefined> {
  const size = Number(identity.size);
  if (name.kind !== 'segment' || size > largestTaken) return undefined;
  const bytes = await readUsed(path, size).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const expected = { name, systemIdentifier, fileSize: size, isAncestor: () => true };
  if (checkSegmentHeader(bytes, expected).kind !== 'good') return undefined;
  const digest = createHash('sha256').update(bytes).digest('hex');
  const { mtimeNs } = identity;
  return { bytes, offer: { name: name.text, size, used: bytes.length, digest, mtimeNs } };
}

// A call: it may be aborted between two looks.
const isAborted = (stop: AbortSignal | undefined): boolean => stop?.aborted === true;

/** All bytes of a frame. */
async function writeFrame(session: TakeSession, frame: Frame): Promise<void> {
  for await (const piece of piecesOf(frame)) {
    session.write(piece);
    await session.whenRoom();
  }
}

/**
 * Keeps a session with the standby's script: it is started when the first segment comes that can travel in this way, and
 * that one does not wait for it. The caller ends it when the inbox is given up.
 */
export function segmentTaker(
  { monotonicMs, log }: Pick<ArchiverDeps, 'monotonicMs' | 'log'>,
  receiver: Receiver,
): SegmentTaker {
  let session: TakeSession | undefined;
  let restUntilMs = -Infinity;
  /** The session that was waited for. */
  let awaited: TakeSession | undefined;
  let isBusy = false;
  const rest = (why: string): void => {
    log.debug(`segments go by rsync for ${restMs / 1000} s: ${why}`);
    restUntilMs = monotonicMs() + restMs;
    session?.end();
    session = undefined;
  };
  /** Starts a session, if there is none. Returns whether there is one that can be used. */
  const begin = (): boolean => {
    if (session?.isOver() === true) {
      rest('the session that takes them has ended');
      return false;
    }
    session ??= openTakeSession(receiver);
    return session.isReady();
  };
  /** The same, but one that has just been started is waited for, once: several rsyncs would cost more. */
  const whenBegun = async (): Promise<boolean> => {
    if (begin()) return true;
    if (session === undefined || session === awaited) return false;
    awaited = session;
    await settlesWithin(session.settled, beginMs);
    return begin();
  };
  /** One exchange over a session that has begun. */
  const inSession = async (
    names: readonly string[],
    write: (open: TakeSession) => Promise<void>,
    mostMs: number,
    stop: AbortSignal | undefined,
  ): Promise<boolean> => {
    if (session === undefined || isAborted(stop)) return false;
    const current = session;
    const lines = await current.exchange(() => write(current), names.length, mostMs, stop);
    if (names.every((name, index) => lines[index] === `taken ${name}`)) return true;
    if (isAborted(stop)) session = undefined;
    else rest(lines.length < names.length ? 'no answer' : 'the standby could not take one');
    return false;
  };

  const takeContent = async ({ bytes, offer }: Content, stop: AbortSignal | undefined): Promise<boolean> => {
    const began = monotonicMs();
    const write = (open: TakeSession): Promise<void> => {
      open.write(formatOffer(offer));
      open.write(bytes);
      return Promise.resolve();
    };
    if (!begin() || !(await inSession([offer.name], write, limitMs, stop))) return false;
    const tookMs = monotonicMs() - began;
    if (tookMs > slowMs) rest(`one took ${Math.round(tookMs)} ms`);
    return true;
  };

  const takeFrames: TakeFrames = async (files, mostMs, stop) => {
    if (!(await whenBegun())) return false;
    const framed = files.flatMap(({ name, identity, frame }) =>
      frame === undefined ? [] : [{ name: name.text, frame, mtimeNs: identity.mtimeNs }],
    );
    const write = async (open: TakeSession): Promise<void> => {
      for (const { name, frame, mtimeNs } of framed) {
        open.write(formatFrameOffer({ name, bytes: frame.bytes, mtimeNs }));
        await writeFrame(open, frame);
      }
    };
    return inSession(
      framed.map(({ name }) => name),
      write,
      mostMs,
      stop,
    );
  };

  const alone = async (use: () => Promise<boolean>, stop: AbortSignal | undefined): Promise<boolean> => {
    if (isBusy || isAborted(stop) || monotonicMs() < restUntilMs) return false;
    isBusy = true;
    try {
      return await use();
    } finally {
      isBusy = false;
    }
  };

  return {
    prepare: () => {
      if (monotonicMs() >= restUntilMs) begin();
    },
    take: (file, stop) =>
      alone(async () => {
        const content = await contentOf(file, receiver.place.systemIdentifier);
        return content !== undefined && (await takeContent(content, stop));
      }, stop),
    takeFrames: (files, mostMs, stop) =>
      alone(async () => {
        if (await areForOthers(files).catch(() => true)) return false;
        return takeFrames(files, mostMs, stop);
      }, stop),
    end: () => {
      session?.end();
      session = undefined;
    },
  };
}
