/** The files of a catch-up on their way to the standby, batch by batch. */
import { dirname, join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { type Batch, type BatchResult, type Delivery, sendBatch } from '../delivery/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import { unpackFromQueue } from '../queue/outgoing.ts';
import { isInQueue } from '../queue/queue.ts';
import { checkWalFile, isReady, isStill, type WalFile, walFileAt } from '../wal/wal-file.ts';
import type { CatchUp } from './catch-up.ts';
import type { Lane } from './lane.ts';

/** A server whose archiving is off leaves files ready forever: after this many waits they are sent. */
const mostWaits = 3;

/** This lane's queue or PostgreSQL will bring it. */
async function comesByItself(
  { queue }: Lane,
  { own, waits, cluster }: CatchUp,
  name: WalName,
): Promise<boolean> {
  // As long as this host is a standby, nothing sends its queues.
  if (cluster.relayedFrom !== undefined) return false;
  if (await isInQueue(queue, name)) return true;
  return waits < mostWaits && isReady(own.directory, name.text);
}

/** Nothing else delivers meanwhile: what PostgreSQL has ready is sent as well. */
export function hurryCatchUp(catchUp: CatchUp): void {
  catchUp.waits = mostWaits;
}

/** Why a place could not be read; undefined if it was, and does not have the file. */
function unreadOf(error: unknown): string | undefined {
  const cause = error instanceof PitrError ? error.cause : error;
  const code = systemErrorCode(cause);
  if (code === undefined || code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  return error instanceof PitrError && error.detail !== undefined
    ? `${error.message} (${error.detail})`
    : messageOf(error);
}

/** The file, from the first directory where it is what its name says. */
async function findFile(
  { settings }: ArchiverDeps,
  { cluster, directories, unread }: CatchUp,
  name: WalName,
): Promise<WalFile | undefined> {
  unread.delete(name.text);
  for (const directory of directories) {
    try {
      const file = await walFileAt(join(directory, name.text), name);
      await checkWalFile(file, cluster, settings.pgdata);
      return file;
    } catch (error) {
      // A file that is gone, that cannot be read, or that is another segment under this name: the next directory.
      if (!(error instanceof PitrError) && systemErrorCode(error) === undefined) throw error;
      const reason = unreadOf(error);
      if (reason !== undefined) unread.set(name.text, reason);
    }
  }
  return undefined;
}

/** Files that the standby lacks. */
export interface CatchUpBatch extends Batch {
  /** Removes what was unpacked for it. */
  readonly release?: () => Promise<void>;
}

/**
 * A segment that lies compressed in the queue of this lane, from the time when this host was the primary; undefined if
 * there is none that is whole. Throws if it cannot be unpacked here, which makes no gap.
 */
async function unpackQueued(
  deps: ArchiverDeps,
  lane: Lane,
  { cluster, missedBefore }: CatchUp,
  name: WalName,
): Promise<CatchUpBatch | undefined> {
  if (cluster.relayedFrom === undefined) return undefined;
  const taken = await unpackFromQueue(deps, lane, name);
  if (taken === undefined) return undefined;
  const warn = (message: string): void => {
    if (!missedBefore.has(name.text)) deps.log.warning(message);
  };
  if (taken.kind === 'stuck') {
    if (taken.trouble.kind !== 'damaged') throw new PitrError(taken.trouble.reason);
    warn(`the compressed file of ${name.text} in "${lane.queue}" is damaged, and is not sent`);
    return undefined;
  }
  const { batch, release } = taken;
  try {
    for (const file of batch.files) await checkWalFile(file, cluster, deps.settings.pgdata);
    return { ...batch, release };
  } catch (error) {
    await release();
    if (!(error instanceof PitrError)) throw error;
    warn(error.message);
    return undefined;
  }
}

/** The next files that the standby lacks, of one directory; undefined if this pass has no more. */
export async function nextCatchUpBatch(
  deps: ArchiverDeps,
  lane: Lane,
  catchUp: CatchUp,
  limits: { readonly files: number; readonly bytes: number },
): Promise<CatchUpBatch | undefined> {
  const files: WalFile[] = [];
  let bytes = 0;
  let [next, ...rest] = catchUp.pending ?? [];
  while (next !== undefined && files.length < limits.files) {
    const { name, isOptional } = next;
    // A file that it lacks again, although it confirmed it, is sent again only after a wait: something there removes it.
    if (catchUp.sentNames.delete(name.text) || (await comesByItself(lane, catchUp, name)))
      catchUp.coming += 1;
    else {
      const file = await findFile(deps, catchUp, name);
      const [first] = files;
      if (file !== undefined) {
        bytes += Number(file.identity.size);
        const isElsewhere = first !== undefined && dirname(first.path) !== dirname(file.path);
        if (first !== undefined && (isElsewhere || bytes > limits.bytes)) break;
        files.push(file);
      } else {
        const unpacked = await unpackQueued(deps, lane, catchUp, name);
        if (unpacked !== undefined && files.length === 0) {
          catchUp.pending = rest;
          return unpacked;
        }
        // Those before it are sent first.
        await unpacked?.release?.();
        if (unpacked !== undefined) break;
        if (!isOptional) catchUp.missing.push(name);
      }
    }
    [next, ...rest] = rest;
  }
  catchUp.pending = next === undefined ? [] : [next, ...rest];
  const [first] = files;
  return first === undefined ? undefined : { directory: dirname(first.path), files };
}

async function hasChanged({ files }: Batch): Promise<boolean> {
  for (const file of files) if (!(await isStill(file))) return true;
  return false;
}

/** The trouble that ends the delivery: another file under the name of one that the standby lacks does not. */
function noteConflict({ conflicts }: CatchUp, { files }: Batch, { delivered, trouble }: BatchResult) {
  const refused = files[delivered.length];
  if (trouble?.kind !== 'conflict' || refused === undefined) return trouble;
  conflicts.set(refused.name.text, trouble.reason);
  return undefined;
}

/**
 * Sends one batch. PostgreSQL may have recycled a file meanwhile, which is no trouble: the next pass looks where else
 * it is.
 */
export async function sendCatchUpBatch(
  deps: ArchiverDeps,
  delivery: Delivery,
  catchUp: CatchUp,
  batch: CatchUpBatch,
  limitMs: number,
): Promise<BatchResult> {
  try {
    const result = await sendBatch(deps, delivery, batch, limitMs);
    const { delivered } = result;
    const trouble = noteConflict(catchUp, batch, result);
    // A file that was recycled is one more reason to ask again.
    catchUp.sent += Math.max(1, delivered.length);
    for (const { name } of delivered) catchUp.sentNames.add(name.text);
    const isOver = trouble?.kind === 'failed' && (await hasChanged(batch));
    return { delivered, trouble: isOver ? undefined : trouble };
  } finally {
    await batch.release?.().catch(() => undefined);
  }
}
