import { open } from 'node:fs/promises';
import { PitrError } from '../../errors.ts';
import { firstLsnOf } from '../../postgres/lsn.ts';
import { type Alignment, type WalFormat, walFormat } from '../../postgres/wal-format.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { createWalReader, type WalReader } from '../../postgres/wal-records.ts';
import { transactionEnd } from '../../postgres/wal-transactions.ts';
import { readSegmentStart, type SegmentStart } from './arrival.ts';

/** A segment that follows the one before it. */
export interface SegmentFile {
  readonly name: SegmentName;
  readonly path: string;
}

export type RecordCheck =
  /**
   * The first byte after the last complete record, and the reason why a server cannot read on although there is more.
   */
  | {
      readonly kind: 'read';
      readonly end: bigint;
      readonly damage: { readonly at: bigint; readonly reason: string } | undefined;
    }
  /** This program does not know how this release writes its records. */
  | { readonly kind: 'unknown'; readonly reason: string };

const chunkBytes = 1024 * 1024;

/** Up to 9.2 a page's header is the same for every alignment: the records must show it. */
function formatsOf({ header }: SegmentStart): readonly WalFormat[] | string {
  if (header.kind === 'no-header') return header.reason;
  const { magic, blockSize, segmentSize, littleEndian } = header;
  const alignments: readonly Alignment[] = header.alignment === undefined ? [8, 4] : [header.alignment];
  const formats = alignments.flatMap(
    (alignment) => walFormat({ magic, littleEndian, alignment, blockSize, segmentSize }) ?? [],
  );
  if (formats.length > 0) return formats;
  return `WAL of an unknown release (page magic 0x${magic.toString(16).toUpperCase()})`;
}

function takePages(
  readers: readonly WalReader[],
  bytes: Uint8Array,
  blockSize: number,
  address: number,
): void {
  for (let offset = 0; offset + blockSize <= bytes.length; offset += blockSize)
    for (const reader of readers) reader.takePage(bytes, offset, address + offset);
}

async function takeSegment(
  readers: readonly WalReader[],
  { name, path }: SegmentFile,
  { segmentSize, blockSize }: WalFormat,
  part: { readonly from: number; readonly bytes: number },
  signal: AbortSignal,
  isEnough: () => boolean,
): Promise<void> {
  const first = Number(firstLsnOf(name, segmentSize));
  const handle = await open(path, 'r');
  try {
    const buffer = new Uint8Array(Math.min(chunkBytes, part.bytes));
    let at = Math.max(0, part.from - first);
    at -= at % blockSize;
    while (at < part.bytes && !isEnough()) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunkBytes, part.bytes - at), at);
      const whole = bytesRead - (bytesRead % blockSize);
      if (whole === 0) return;
      takePages(readers, buffer.subarray(0, whole), blockSize, first + at);
      at += whole;
    }
  } finally {
    await handle.close();
  }
}

/** Reads and checks the records in these consecutive segments, from the start of a record in the first one on. */
export type ReadRecords = (
  segments: readonly SegmentFile[],
  from: bigint,
  signal: AbortSignal,
) => Promise<RecordCheck>;

/**
 * Reads and checks every record in these consecutive segments: in one pass, a megabyte at a time.
 *
 * @param from the start of a record in the first segment
 */
export function checkRecords(
  segments: readonly SegmentFile[],
  from: bigint,
  signal: AbortSignal,
): Promise<RecordCheck> {
  return readRecords(segments, from, signal, () => false);
}

/**
 * Reads the record at this location, and not much more: the end of the WAL is known if it is the last one.
 *
 * @returns its end; `from` if there is no complete record
 */
export function readOneRecord(
  segments: readonly SegmentFile[],
  from: bigint,
  signal: AbortSignal,
): Promise<RecordCheck> {
  return readRecords(segments, from, signal, (end) => BigInt(end) > from);
}

async function readRecords(
  segments: readonly SegmentFile[],
  from: bigint,
  signal: AbortSignal,
  isEnough: (end: number) => boolean,
): Promise<RecordCheck> {
  const [first] = segments;
  if (first === undefined) return { kind: 'read', end: from, damage: undefined };
  const start = await readSegmentStart(first.path);
  if (start === undefined) throw new PitrError(`"${first.path}" does not exist any more`);
  const formats = formatsOf(start);
  if (typeof formats === 'string') return { kind: 'unknown', reason: formats };
  const [format] = formats;
  if (format === undefined) return { kind: 'unknown', reason: 'no format' };
  const readers = formats.map((one) => createWalReader(one, Number(from)));
  const areAll = (...kinds: readonly ReturnType<WalReader['progress']>[]) =>
    readers.every((reader) => kinds.includes(reader.progress()));
  const hasEnough = () => readers.some((reader) => isEnough(reader.result().end)) || areAll('damaged');
  let isFarBehind = false;
  for (const segment of segments) {
    if (hasEnough()) break;
    const isBehind = areAll('ended', 'damaged');
    // pg_wal may have a gigabyte of segments that wait for reuse: WAL so far behind the end would begin with its first page.
    const bytes = isFarBehind ? format.blockSize : format.segmentSize;
    await takeSegment(readers, segment, format, { from: Number(from), bytes }, signal, hasEnough);
    isFarBehind = isBehind;
  }
  const [result] = readers.map((reader) => reader.result()).sort((a, b) => b.end - a.end);
  if (result === undefined) return { kind: 'unknown', reason: 'no format' };
  const { end, damage } = result;
  return {
    kind: 'read',
    end: BigInt(end),
    damage: damage === undefined ? undefined : { at: BigInt(damage.at), reason: damage.reason },
  };
}

/**
 * The latest end of a transaction, a commit or a rollback, of which this segment holds the whole record. In microseconds
 * since 1970; undefined if there is none, or if the release's records are unknown.
 */
export async function latestTransactionEnd(
  segment: SegmentFile,
  signal: AbortSignal,
): Promise<bigint | undefined> {
  const start = await readSegmentStart(segment.path);
  const formats = start === undefined ? [] : formatsOf(start);
  const [format] = formats;
  if (format === undefined || typeof format === 'string') return undefined;
  let latest: bigint | undefined;
  const readFrom = Number(firstLsnOf(segment.name, format.segmentSize));
  const reader = createWalReader(format, readFrom, {
    mayBeInside: true,
    onRecord: (record) => {
      const end = transactionEnd(format, record);
      if (end !== undefined && (latest === undefined || end > latest)) latest = end;
    },
  });
  const whole = { from: readFrom, bytes: format.segmentSize };
  await takeSegment([reader], segment, format, whole, signal, () => false);
  return latest;
}
