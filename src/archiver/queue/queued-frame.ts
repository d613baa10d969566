/** The frames of queues. PostgreSQL recycles a segment that is in a queue: its frame there may be the only copy of it. */
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { fsyncPath, systemErrorCode } from '../../system/durable.ts';
import { removeFile, withTemporaryDirectory } from '../../system/files.ts';
import type { ArchiverDeps } from '../deps.ts';
import { findZstd, type Frame, type FrameTools, makeFrame, readFrame, unpackFrame } from '../frames/frame.ts';
import type { WalFile } from '../wal/wal-file.ts';
import type { QueuedFile } from './queue.ts';

/** More than a processor and a disk need that can keep up with a server's WAL. */
const limitMs = 120_000;

/** Why `queue_compress` cannot take effect on this host; undefined if it can, or is off. */
export async function findNoCompression(
  settings: ArchiverDeps['settings'],
): Promise<{ readonly message: string; readonly hint: string } | undefined> {
  if (!settings.queue_compress || (await findZstd(settings)) !== undefined) return undefined;
  return {
    message: 'queue_compress is on, but there is no program zstd: segments are queued as they are',
    hint: 'Install zstd on this host, or set includepath: to its directory.',
  };
}

/** The parts of the outside world that frames need. */
export type FrameDeps = Pick<ArchiverDeps, 'run' | 'settings'>;

/** The tools to read frames that are queued already. */
export async function requireFrameTools({ run, settings }: FrameDeps, path: string): Promise<FrameTools> {
  const zstd = await findZstd(settings);
  if (zstd !== undefined) return { run, zstd };
  throw new PitrError(`the queued file "${path}" cannot be read: there is no program zstd`, {
    hint: 'Install zstd on this host, or set includepath: to its directory.',
  });
}

/** Whether a frame unpacks to exactly the bytes of this file. cmp compares them: the proof does not rest on zstd alone. */
export async function holdsBytesOf(
  { run, zstd }: FrameTools,
  frame: string,
  plain: string,
): Promise<boolean> {
  // All bytes may come out of a frame that zstd refuses in the end.
  const script =
    'failed=$({ { "$1" -q -d -c -- "$2" || echo zstd >&3; } | cmp -s - "$3" || echo cmp >&3; } 3>&1) && [ -z "$failed" ]';
  const result = await run({ program: 'sh', args: ['-c', script, 'sh', zstd, frame, plain] }, { limitMs });
  return succeeded(result);
}

/** Why a frame cannot be unpacked. */
interface Damage {
  readonly reason: string;
  /** False if zstd did not come to an end, which says nothing of the frame. */
  readonly isCertain: boolean;
}

/** Undefined if it can be unpacked. */
export async function findDamage({ run, zstd }: FrameTools, path: string): Promise<Damage | undefined> {
  const read = await readFrame(path);
  if (read.kind === 'none') return { reason: read.reason, isCertain: true };
  const result = await run({ program: zstd, args: ['-q', '-t', '--', path] }, { limitMs });
  if (succeeded(result)) return undefined;
  // 126 and 127: it could not be started.
  const isCertain = result.kind === 'exited' && result.code < 126;
  return { reason: `zstd: ${describeResult(result)}`, isCertain };
}

/** SHA-256 of its content, for messages; undefined where it cannot be determined. */
export async function digestOfContent({ run, zstd }: FrameTools, frame: string): Promise<string | undefined> {
  const script = '"$1" -q -d -c -- "$2" | sha256sum';
  const result = await run({ program: 'sh', args: ['-c', script, 'sh', zstd, frame] }, { limitMs });
  return succeeded(result) ? /^[0-9a-f]{64}/.exec(result.stdout)?.[0] : undefined;
}

/** Passes `use` the content of a frame as a file. Throws if it is damaged. */
export async function withUnpacked(
  deps: FrameDeps,
  { path, name }: QueuedFile,
  use: (plain: string) => Promise<void>,
): Promise<void> {
  const tools = await requireFrameTools(deps, path);
  const read = await readFrame(path);
  if (read.kind === 'none') throw new PitrError(`"${path}" is damaged: ${read.reason}`);
  await withTemporaryDirectory('pitrtools-', async (directory) => {
    const plain = join(directory, name.text);
    const reason = await unpackFrame(tools, read.frame, plain);
    if (reason !== undefined) throw new PitrError(`"${path}" cannot be unpacked: ${reason}`);
    await use(plain);
  });
}

/** Makes the frame of a segment that is to be queued. Undefined if the segment must be queued as it is. */
export type CompressForQueue = (file: WalFile, target: string) => Promise<Frame | undefined>;

async function makeProved(tools: FrameTools, file: WalFile, target: string): Promise<Frame | string> {
  const made = await makeFrame(tools, file, target);
  if (made.kind === 'none') return made.reason;
  const [isProved] = await Promise.all([holdsBytesOf(tools, target, file.path), fsyncPath(target)]);
  if (isProved) return made.frame;
  return 'the frame that zstd made does not unpack to the segment';
}

/** Whatever goes wrong, the segment can still be queued as it is. */
async function tryCompress(
  { run, settings }: FrameDeps,
  file: WalFile,
  target: string,
): Promise<Frame | string> {
  const zstd = await findZstd(settings);
  if (zstd === undefined) return 'there is no program zstd on this host';
  try {
    const frame = await makeProved({ run, zstd }, file, target);
    if (typeof frame === 'string') await removeFile(target);
    return frame;
  } catch (error) {
    await removeFile(target).catch(() => undefined);
    if (error instanceof PitrError || systemErrorCode(error) !== undefined) return messageOf(error);
    throw error;
  }
}

/** `queue_compress`; undefined if it is off. Why segments are not compressed is said once, until one is again. */
export function queueCompression({
  run,
  settings,
  log,
}: Pick<ArchiverDeps, 'run' | 'settings' | 'log'>): CompressForQueue | undefined {
  if (!settings.queue_compress) return undefined;
  let isTold = false;
  return async (file, target) => {
    if (file.name.kind !== 'segment') return undefined;
    const frame = await tryCompress({ run, settings }, file, target);
    if (typeof frame !== 'string') {
      isTold = false;
      return frame;
    }
    if (!isTold) log.warning(`queue_compress: ${file.name.text} is queued without compression: ${frame}`);
    isTold = true;
    return undefined;
  };
}
