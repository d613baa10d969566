/** The files that leave a queue next: plain ones and frames from the queue itself, or frames that were unpacked beside it. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { makePrivateDirectory, makeTemporaryDirectory, removeTree } from '../../system/files.ts';
import type { Batch } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { contentBytes, type Outgoing, readFrame, unpackFrame } from '../frames/frame.ts';
import type { Lane } from '../lane/lane.ts';
import { walFileAt } from '../wal/wal-file.ts';
import { replaceFromPgWal } from './damaged.ts';
import { formsInQueue, type QueuedFile } from './queue.ts';
import { findDamage, holdsBytesOf, requireFrameTools } from './queued-frame.ts';

interface Limits {
  readonly files: number;
  readonly bytes: number;
}

/** How a queue is to be sent now. */
export interface Sending {
  readonly deps: ArchiverDeps;
  readonly lane: Pick<Lane, 'queue' | 'name'>;
  readonly limits: Limits;
  /** The standby takes frames. */
  readonly takesFrames: boolean;
  readonly compressesLightly: boolean;
}

interface Stuck {
  readonly kind: 'stuck';
  readonly trouble: Trouble;
}

/** The first files of a queue; or why the first one cannot be sent. */
export type FromQueue =
  | {
      readonly kind: 'batch';
      readonly batch: Batch;
      /** Call this when no process reads the files any more. */
      readonly release: () => Promise<void>;
    }
  | Stuck;

function damaged({ queue, name: standby }: Sending['lane'], { path, name }: QueuedFile, why: string): Stuck {
  return {
    kind: 'stuck',
    trouble: {
      kind: 'damaged',
      reason: `the queued file "${path}" is damaged: ${why}`,
      hint: `If another standby has that segment, copy it from its archive to ${join(queue, name.text)}. Otherwise run cmd_archiver --abandon ${standby}, then make a new base backup on that standby.`,
    },
  };
}

function stuck(kind: Trouble['kind'], reason: string, hint?: string): Stuck {
  return { kind: 'stuck', trouble: { kind, reason, hint } };
}

/** The form in which a file is sent. Where both are there, the plain one is, if the other one does not contradict it. */
async function formToSend({ deps, lane }: Sending, name: WalName): Promise<QueuedFile | Stuck> {
  const [first, second] = await formsInQueue(lane.queue, name);
  if (first === undefined) throw new PitrError(`there is no file "${join(lane.queue, name.text)}"`);
  if (second === undefined) return first;
  const tools = await requireFrameTools(deps, second.path);
  if (await holdsBytesOf(tools, second.path, first.path)) return first;
  if ((await findDamage(tools, second.path)) !== undefined) return first;
  return stuck(
    'conflict',
    `the queue holds two different files for ${name.text}: "${first.path}" and "${second.path}"`,
    `To solve this, run cmd_archiver --abandon ${lane.name}, then make a new base backup on that standby.`,
  );
}

/** The file, or the frame, as it lies in the queue. Of a batch with a file that it cannot read, rsync brings none. */
async function lookAt({ lane }: Sending, queued: QueuedFile, keptBytes: number): Promise<Outgoing | Stuck> {
  const { path, name, isFrame } = queued;
  const file = await walFileAt(path, name);
  try {
    await access(path, constants.R_OK);
    if (!isFrame) return file;
    const read = await readFrame(path, keptBytes);
    return read.kind === 'none' ? damaged(lane, queued, read.reason) : { ...file, frame: read.frame };
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    throw new PitrError(`cannot read the queued file "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** The directory from which a batch is sent. */
interface Place {
  readonly directory: string;
  /** The bytes of its frames are kept in memory until they have travelled, up to this number; others are read twice. */
  readonly keptBytes: number;
  /** The file as it is sent from there. */
  readonly put: (file: Outgoing, queued: QueuedFile) => Promise<Outgoing | Stuck>;
  readonly release: () => Promise<void>;
}

function queuePlace({ lane }: Sending): Place {
  return {
    directory: lane.queue,
    keptBytes: 12 * 1024 * 1024,
    put: (file) => Promise.resolve(file),
    release: () => Promise.resolve(),
  };
}

/** Why the frame could not be unpacked decides what an operator can do. */
async function judgeFailure({ deps, lane }: Sending, queued: QueuedFile, reason: string): Promise<Stuck> {
  const damage = await findDamage(await requireFrameTools(deps, queued.path), queued.path);
  return damage?.isCertain === true
    ? damaged(lane, queued, damage.reason)
    : stuck('failed', `the queued file "${queued.path}" cannot be unpacked: ${reason}`);
}

function unpackingPlace(sending: Sending, directory: string): Place {
  return {
    directory,
    keptBytes: 0,
    put: async ({ frame, name }, queued) => {
      if (frame === undefined) throw new Error(`${queued.path} is no frame`);
      const tools = await requireFrameTools(sending.deps, queued.path);
      const target = join(directory, name.text);
      const reason = await unpackFrame(tools, frame, target);
      return reason === undefined ? walFileAt(target, name) : judgeFailure(sending, queued, reason);
    },
    release: () => removeTree(directory),
  };
}

/** Files of one form, up to the first one that cannot be sent, or why there is none. */
async function putFiles(
  sending: Sending,
  names: readonly WalName[],
  first: QueuedFile,
  place: Place,
  limits: Limits,
): Promise<readonly Outgoing[] | Stuck> {
  const files: Outgoing[] = [];
  try {
    return (await putInto(files, sending, names, first, place, limits)) ?? files;
  } catch (error) {
    // As the first one of the next batch it is reported.
    if (files.length === 0 || !(error instanceof PitrError)) throw error;
    return files;
  }
}

/** @returns why there is none */
async function putInto(
  files: Outgoing[],
  sending: Sending,
  names: readonly WalName[],
  first: QueuedFile,
  { put, keptBytes }: Place,
  limits: Limits,
): Promise<Stuck | undefined> {
  let bytes = 0;
  let mayKeep = keptBytes;
  for (const name of names.slice(0, limits.files)) {
    const queued = name === first.name ? first : await formToSend(sending, name);
    if ('kind' in queued || queued.isFrame !== first.isFrame) break;
    const file = await lookAt(sending, queued, mayKeep);
    bytes += 'kind' in file ? 0 : contentBytes(file);
    if (files.length > 0 && bytes > limits.bytes) break;
    const there = 'kind' in file ? file : await put(file, queued);
    if ('kind' in there) return files.length > 0 ? undefined : there;
    files.push(there);
    mayKeep -= there.frame?.content?.length ?? 0;
  }
  return undefined;
}

async function fill(
  sending: Sending,
  names: readonly WalName[],
  first: QueuedFile,
  place: Place,
  limits: Limits,
): Promise<FromQueue> {
  const { directory, release } = place;
  let isFilled = false;
  try {
    const files = await putFiles(sending, names, first, place, limits);
    if ('kind' in files) return files;
    isFilled = true;
    const { compressesLightly } = sending;
    return { kind: 'batch', batch: { directory, files, compressesLightly }, release };
  } finally {
    if (!isFilled) await release();
  }
}

/** A full l_archivedir must not keep its queues from being sent, which makes room: then another file system has to do. */
async function unpackFirst(
  sending: Sending,
  names: readonly WalName[],
  first: QueuedFile,
): Promise<FromQueue> {
  const { deps, limits } = sending;
  const own = join(deps.layout.unpacked, `${deps.pid}.${deps.nonce()}`);
  const result = await makePrivateDirectory(own)
    .then(() => fill(sending, names, first, unpackingPlace(sending, own), limits))
    .catch((error: unknown) => {
      if (systemErrorCode(error) === undefined) throw error;
      return stuck('failed', `cannot unpack queued files in "${own}": ${messageOf(error)}`);
    });
  if (result.kind === 'batch' || result.trouble.kind !== 'failed') return result;
  const elsewhere = unpackingPlace(sending, await makeTemporaryDirectory(`pitrtools-unpacked-${deps.pid}-`));
  return fill(sending, names, first, elsewhere, { files: 1, bytes: 0 });
}

async function firstBatch(sending: Sending, names: readonly [WalName, ...WalName[]]): Promise<FromQueue> {
  const first = await formToSend(sending, names[0]);
  if ('kind' in first) return first;
  return first.isFrame && !sending.takesFrames
    ? unpackFirst(sending, names, first)
    : fill(sending, names, first, queuePlace(sending), sending.limits);
}

/**
 * One segment of a queue that lies there as a frame, unpacked; undefined if it does not. A damaged one is not replaced from
 * pg_wal: in recovery a segment there may be unfinished.
 */
export async function unpackFromQueue(
  deps: ArchiverDeps,
  lane: Sending['lane'],
  name: WalName,
): Promise<FromQueue | undefined> {
  const frame = (await formsInQueue(lane.queue, name)).find(({ isFrame }) => isFrame);
  if (frame === undefined) return undefined;
  const limits = { files: 1, bytes: 0 };
  return unpackFirst({ deps, lane, limits, takesFrames: false, compressesLightly: false }, [name], frame);
}

/** The next batch of a queue: files of one form. A damaged frame is replaced if pg_wal still has the segment. */
export async function nextFromQueue(
  sending: Sending,
  names: readonly [WalName, ...WalName[]],
): Promise<FromQueue> {
  const result = await firstBatch(sending, names);
  if (result.kind === 'batch' || result.trouble.kind !== 'damaged') return result;
  const whyNot = await replaceFromPgWal(sending.deps, sending.lane, names[0]);
  if (whyNot === undefined) return firstBatch(sending, names);
  // The operator must know whether the segment is gone, or the disk is full.
  const { trouble } = result;
  const reason = `${trouble.reason}; it cannot be taken from pg_wal again: ${whyNot}`;
  return { ...result, trouble: { ...trouble, reason } };
}
