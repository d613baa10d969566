import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { checkSegmentHeader } from '../../postgres/wal-header.ts';
import type { Session } from '../../system/command.ts';
import { inShell } from '../../system/ssh-beside.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import { nameOfLane } from '../../verbs/scripts/delivery.ts';
import {
  formatOffer,
  largestTaken,
  mostTakenBytes,
  type Offer,
  takeReady,
} from '../../verbs/scripts/take.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { WalFile } from '../wal/wal-file.ts';
import type { Delivery } from './delivery.ts';

/**
 * Brings one segment into the inbox of a standby without rsync. Only `true` means that it is there, proved and flushed;
 * after any other answer, and whenever there is none, rsync sends it. The file is not read any more when this settles.
 */
export type TakeSegment = (file: WalFile, stop?: AbortSignal) => Promise<boolean>;

export interface SegmentTaker {
  readonly take: TakeSegment;
  readonly end: () => void;
}

/** The parts of a delivery that are needed. */
type Receiver = Pick<Delivery, 'shell' | 'place'>;

/** rsync needs less than this for a whole segment, unless the standby hangs. */
const limitMs = 5_000;
/** An exchange that takes longer than this is no gain: rsync compresses. */
const slowMs = 2_000;
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

/** Flags of rsync that change only how the bytes travel. What others do to a file, only rsync does. */
const flagOfTheWay =
  /^(?:-[zvqWh]+|--(?:compress|verbose|quiet|whole-file|no-whole-file|stats|human-readable)|--(?:compress-level|zl|compress-choice|zc|skip-compress|timeout|contimeout)=.*)$/;

/** Whether segments may reach this standby without rsync. */
export function mayTake({
  takesSegments,
  place,
  rsync,
}: Pick<Delivery, 'takesSegments' | 'place' | 'rsync'>): boolean {
  return (
    takesSegments === true && place.mode === 'store' && rsync.flags.every((flag) => flagOfTheWay.test(flag))
  );
}

/** Undefined if more of the file is used than travels in this way, if others may read it, or if it cannot be read. */
async function readUsed(path: string, size: number): Promise<Buffer | undefined> {
  const handle = await open(path, 'r');
  try {
    // rsync would leave the group its rights.
    if (((await handle.stat()).mode & 0o077) !== 0) return undefined;
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

/** One session of the standby's script. */
function openSession({ shell, place }: Receiver) {
  const { systemIdentifier, run, mode } = place;
  const work = archiveWork('take-segments', place, {
    cluster: systemIdentifier,
    lane: nameOfLane(place),
    run,
    mode,
  });
  let isReady = false;
  let isOver = false;
  let answered: ((line: string | undefined) => void) | undefined;
  const settle = (line: string | undefined): void => {
    answered?.(line);
    answered = undefined;
  };
  const session: Session = shell.start(inShell(work), {
    onLine: (line) => {
      if (answered !== undefined) settle(line);
      // A line that nobody waits for: what follows could be mistaken for an answer.
      else if (isReady || line !== takeReady) end();
      else isReady = true;
    },
  });
  const end = (): void => {
    isOver = true;
    settle(undefined);
    session.close();
    session.kill();
  };
  void session.ended.then(end);
  /** @returns the standby's line; undefined if there is none, after which the session is over */
  const exchange = async (
    { bytes, offer }: Content,
    stop: AbortSignal | undefined,
  ): Promise<string | undefined> => {
    const timer = setTimeout(end, limitMs);
    stop?.addEventListener('abort', end, { once: true });
    try {
      return await new Promise<string | undefined>((resolve) => {
        answered = resolve;
        session.write(formatOffer(offer));
        session.write(bytes);
      });
    } finally {
      clearTimeout(timer);
      stop?.removeEventListener('abort', end);
    }
  };
  return { exchange, end, isReady: () => isReady && !isOver, isOver: () => isOver };
}

/**
 * Keeps a session with the standby's script: it is started when the first segment comes that can travel in this way, and
 * that one does not wait for it. The caller ends it when the inbox is given up.
 */
export function segmentTaker(
  { monotonicMs, log }: Pick<ArchiverDeps, 'monotonicMs' | 'log'>,
  receiver: Receiver,
): SegmentTaker {
  let session: ReturnType<typeof openSession> | undefined;
  let restUntilMs = -Infinity;
  let isBusy = false;
  const rest = (why: string): void => {
    log.debug(`segments go by rsync for ${restMs / 1000} s: ${why}`);
    restUntilMs = monotonicMs() + restMs;
    session?.end();
    session = undefined;
  };
  const takeContent = async (content: Content, stop: AbortSignal | undefined): Promise<boolean> => {
    if (session?.isOver() === true) {
      rest('the session that takes them has ended');
      return false;
    }
    session ??= openSession(receiver);
    if (!session.isReady() || isAborted(stop)) return false;
    const began = monotonicMs();
    const line = await session.exchange(content, stop);
    const tookMs = monotonicMs() - began;
    if (line !== `taken ${content.offer.name}`) {
      if (isAborted(stop)) session = undefined;
      else rest(line === undefined ? 'no answer' : 'the standby could not take one');
      return false;
    }
    if (tookMs > slowMs) rest(`one took ${Math.round(tookMs)} ms`);
    return true;
  };
  return {
    take: async (file, stop) => {
      if (isBusy || isAborted(stop) || monotonicMs() < restUntilMs) return false;
      isBusy = true;
      try {
        const content = await contentOf(file, receiver.place.systemIdentifier);
        return content !== undefined && (await takeContent(content, stop));
      } finally {
        isBusy = false;
      }
    },
    end: () => {
      session?.end();
      session = undefined;
    },
  };
}
