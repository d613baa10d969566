/**
 * A WAL file compressed by the zstd of the command line. Every owner of a frame can prove its content: zstd verifies the
 * checksum in it when it unpacks it, and the digest is that of the frame's own bytes.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { ArchiverSettings } from '../../config/options-archiver.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { describeResult, type RunCommand, succeeded } from '../../system/command.ts';
import { sizeOf } from '../../system/durable.ts';
import { removeFile } from '../../system/files.ts';
import { findProgram } from '../../system/find-program.ts';
import { isStill, type SeenFile, type WalFile } from '../wal/wal-file.ts';
import { frameHeaderBytes, parseFrameHeader } from './frame-header.ts';

export interface Frame {
  readonly path: string;
  /** The length of the frame itself. */
  readonly bytes: number;
  /** SHA-256 of the frame's own bytes, in hexadecimal. */
  readonly digest: string;
  /** The length of its content, by the frame's own header. */
  readonly size: number;
  /** Its bytes, if they are few and several standbys need them. */
  readonly content?: Buffer;
}

/** A file on its way to a standby. With a frame, the frame travels in its place. */
export interface Outgoing extends WalFile {
  readonly frame?: Frame | undefined;
}

/** The number of bytes that the file has at the standby. */
export function contentBytes({ identity, frame }: Outgoing): number {
  return frame?.size ?? Number(identity.size);
}

/** The means to make frames, and to unpack them. */
export interface FrameTools {
  readonly run: RunCommand;
  /** The full path of zstd. */
  readonly zstd: string;
}

export type FrameResult =
  { readonly kind: 'frame'; readonly frame: Frame } | { readonly kind: 'none'; readonly reason: string };

const pieceBytes = 1024 * 1024;

/** zstd needs less time than this on any disk and processor that can keep up with a server's WAL. */
const shortestLimitMs = 60_000;
const slowestBytesPerMs = 2_000;
/** A frame that saves less than this part is not worth being unpacked. */
const leastSaved = 1 / 16;

/** zstd of this host. @returns undefined if there is none */
export function findZstd({
  includepath,
}: Pick<ArchiverSettings, 'includepath'>): Promise<string | undefined> {
  return findProgram('zstd', includepath);
}

function limitMs(bytes: number): number {
  return shortestLimitMs + Math.ceil(bytes / slowestBytesPerMs);
}

const none = (reason: string): FrameResult => ({ kind: 'none', reason });

function frameOfBytes(path: string, content: Buffer): FrameResult {
  const header = parseFrameHeader(content.subarray(0, frameHeaderBytes));
  if (header.kind === 'no-frame') return none(header.reason);
  const digest = createHash('sha256').update(content).digest('hex');
  return { kind: 'frame', frame: { path, bytes: content.length, digest, size: header.size, content } };
}

/** The bytes of a file of this size, in one piece. */
async function readAll(handle: FileHandle, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await handle.read(bytes, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/**
 * The first bytes of a file, in pieces; fewer if it is shorter. A stream would allocate a whole piece for the last bytes, and one
 * for the end as well, and each of them brings the next garbage collection nearer.
 */
async function* piecesIn(handle: FileHandle, size: number): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < size;) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, size - at));
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** The bytes of a frame, in pieces. Throws if they cannot be read, or are fewer than they were. */
export async function* piecesOf({ content, path, bytes }: Frame): AsyncGenerator<Buffer, void> {
  if (content !== undefined) {
    yield content;
    return;
  }
  const handle = await open(path, 'r');
  try {
    let length = 0;
    for await (const piece of piecesIn(handle, bytes)) {
      length += piece.length;
      yield piece;
    }
    if (length < bytes) throw new PitrError(`"${path}" has become shorter: ${length} bytes, not ${bytes}`);
  } finally {
    await handle.close();
  }
}

/**
 * Reads a whole frame. Throws if the file cannot be read.
 *
 * @param keptBytes its bytes are kept if there are no more of them than this
 */
export async function readFrame(path: string, keptBytes = 0): Promise<FrameResult> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size <= keptBytes) return frameOfBytes(path, await readAll(handle, size));
    const start = new Uint8Array(frameHeaderBytes);
    const { bytesRead } = await handle.read(start, 0, start.length, 0);
    const header = parseFrameHeader(start.subarray(0, bytesRead));
    if (header.kind === 'no-frame') return none(header.reason);
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of piecesIn(handle, size)) {
      hash.update(piece);
      bytes += piece.length;
    }
    return { kind: 'frame', frame: { path, bytes, digest: hash.digest('hex'), size: header.size } };
  } finally {
    await handle.close();
  }
}

async function compress(
  { run, zstd }: FrameTools,
  file: SeenFile,
  target: string,
  keptBytes: number,
): Promise<FrameResult> {
  const size = Number(file.identity.size);
  const args = ['-q', '-1', '--check', '--single-thread', '-o', target, '--', file.path];
  const result = await run({ program: zstd, args }, { limitMs: limitMs(size) });
  if (!succeeded(result)) return none(`zstd: ${describeResult(result)}`);
  const read = await readFrame(target, keptBytes);
  if (read.kind === 'none') return none(`zstd made no frame: ${read.reason}`);
  if (read.frame.size !== size) return none(`zstd made a frame of ${read.frame.size} bytes, not of ${size}`);
  if (read.frame.bytes > size * (1 - leastSaved)) return none('it does not become smaller');
  if (!(await isStill(file))) return none(`${file.path} changed while it was compressed`);
  return read;
}

/**
 * Compresses a file. The frame is complete, has the file's time and mode, and is not flushed. If there is none, nothing is
 * left at `target`. Never throws because of what zstd or a disk does.
 *
 * @param keptBytes as readFrame has it
 */
export async function makeFrame(
  tools: FrameTools,
  file: SeenFile,
  target: string,
  keptBytes = 0,
): Promise<FrameResult> {
  let result: FrameResult;
  try {
    await removeFile(target);
    result = await compress(tools, file, target, keptBytes);
  } catch (error) {
    result = none(messageOf(error));
  }
  if (result.kind === 'none') await removeFile(target).catch(() => undefined);
  return result;
}

/**
 * Unpacks a frame into a file that does not exist yet; zstd proves the content. The file is complete, has the frame's time and mode,
 * and is not flushed.
 *
 * @returns why there is no such file; undefined if there is
 */
export async function unpackFrame(
  { run, zstd }: FrameTools,
  { path, size }: Frame,
  target: string,
): Promise<string | undefined> {
  // A hole would be space that is missing later.
  const args = ['-q', '-d', '--no-sparse', '-o', target, '--', path];
  const result = await run({ program: zstd, args }, { limitMs: limitMs(size) });
  const reason = succeeded(result) ? undefined : `zstd: ${describeResult(result)}`;
  const bytes = reason === undefined ? await sizeOf(target) : size;
  if (reason === undefined && bytes === size) return undefined;
  await removeFile(target).catch(() => undefined);
  return reason ?? `it unpacked to ${bytes} bytes, not to ${size}`;
}
