/**
 * LSNs, PostgreSQL's addresses of bytes in the WAL, as bigint; and the arithmetic of segments.
 *
 * Two rules of old versions apply here. Up to 9.2 the last segment of each log file (`FF` with segments of 16 MB)
 * does not exist; and in every version a segment's first byte is `log * 2^32 + seg * size`.
 */
import { PitrError } from '../errors.ts';
import { type SegmentName, segmentName } from './wal-name.ts';

/** How a cluster cuts its WAL into segments; `walSegmentSkipsFF` is a field of the capabilities. */
export interface WalLayout {
  /** In bytes. */
  readonly segmentSize: number;
  readonly walSegmentSkipsFF: boolean;
}

const mebibyte = 1024 * 1024;
const logSize = 0x1_0000_0000;

/** Every size that initdb (from 11) or configure (before) allows: powers of two from 1 MB to 1 GB. */
export function isSegmentSize(bytes: number): boolean {
  return bytes >= mebibyte && bytes <= 1024 * mebibyte && Number.isInteger(Math.log2(bytes));
}

/** Reads what PostgreSQL prints, such as `1/25000020`. */
export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined)
    throw new PitrError(`not a WAL location: '${text}'`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

export function formatLsn(lsn: bigint): string {
  const low = lsn & 0xffff_ffffn;
  return `${(lsn >> 32n).toString(16)}/${low.toString(16)}`.toUpperCase();
}

/** How many segments share one `log`. */
function segmentsPerLog(layout: WalLayout): number {
  if (!isSegmentSize(layout.segmentSize)) {
    throw new PitrError(`impossible WAL segment size: ${layout.segmentSize} bytes`, {
      hint: 'PostgreSQL has segments of 1 MB to 1 GB, a power of two.',
    });
  }
  const all = logSize / layout.segmentSize;
  return layout.walSegmentSkipsFF ? all - 1 : all;
}

/** Does a cluster with this layout ever write a segment of this name? */
export function isPossibleSegment(name: SegmentName, layout: WalLayout): boolean {
  return name.seg < segmentsPerLog(layout);
}

/** Consecutive segments have consecutive numbers, whatever the timeline. */
export function segmentNumber(name: SegmentName, layout: WalLayout): number {
  const perLog = segmentsPerLog(layout);
  if (name.seg >= perLog) {
    throw new PitrError(`no segment ${name.text} can exist with segments of ${layout.segmentSize} bytes`);
  }
  return name.log * perLog + name.seg;
}

export function nameOf(timeline: number, number: number, layout: WalLayout): SegmentName {
  const perLog = segmentsPerLog(layout);
  return segmentName(timeline, Math.floor(number / perLog), number % perLog);
}

/** Undefined before the first segment that there can be. */
export function previousSegment(name: SegmentName, layout: WalLayout): SegmentName | undefined {
  const number = segmentNumber(name, layout);
  return number === 0 ? undefined : nameOf(name.timeline, number - 1, layout);
}

/** The LSN of a segment's first byte: what its first page header must carry. */
export function firstLsnOf(name: SegmentName, segmentSize: number): bigint {
  return (BigInt(name.log) << 32n) + BigInt(name.seg) * BigInt(segmentSize);
}

/** The segment that contains the byte at `lsn`: a record that starts there is in this segment. */
export function segmentContaining(timeline: number, lsn: bigint, layout: WalLayout): SegmentName {
  const seg = Math.floor(Number(lsn & 0xffff_ffffn) / layout.segmentSize);
  const log = Number(lsn >> 32n);
  // Up to 9.2 an LSN in the skipped segment means the first byte after it.
  return seg < segmentsPerLog(layout) ? segmentName(timeline, log, seg) : segmentName(timeline, log + 1, 0);
}

/**
 * The segment that contains the byte before `lsn`: the last one needed to read up to an end such as a backup's stop
 * location. On a segment boundary this is the segment before the boundary, as `pg_walfile_name()` has it up to 16.
 */
export function segmentEndingAt(timeline: number, lsn: bigint, layout: WalLayout): SegmentName {
  const containing = segmentContaining(timeline, lsn, layout);
  if (lsn > firstLsnOf(containing, layout.segmentSize)) return containing;
  const previous = previousSegment(containing, layout);
  if (previous === undefined) throw new PitrError('no WAL lies before location 0/0');
  return previous;
}

/** How many segments lie from `first` to `last`, both included; 0 if `last` is before `first`. */
export function countSegments(first: SegmentName, last: SegmentName, layout: WalLayout): number {
  return Math.max(0, segmentNumber(last, layout) - segmentNumber(first, layout) + 1);
}

/** No archive holds more names than this: a longer list comes from a wrong end point. */
const mostListed = 10_000_000;

/** The names from `first` to `last`, both included. Both must be of one timeline. */
export function listSegments(first: SegmentName, last: SegmentName, layout: WalLayout): SegmentName[] {
  if (first.timeline !== last.timeline) {
    throw new PitrError(`segments ${first.text} and ${last.text} are of different timelines`);
  }
  const count = countSegments(first, last, layout);
  if (count > mostListed)
    throw new PitrError(`too many segments from ${first.text} to ${last.text}: ${count}`);
  const start = segmentNumber(first, layout);
  return Array.from({ length: count }, (_, index) => nameOf(first.timeline, start + index, layout));
}
