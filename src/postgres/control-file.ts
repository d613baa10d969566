/**
 * `global/pg_control`, the file that PostgreSQL starts from (`src/include/catalog/pg_control.h`).
 *
 * `control-formats.ts` has the offsets of its fields. The checksum follows the last field, at an offset that differs
 * by version and machine; we look for it.
 */
import { type ControlFormat, controlFormats } from './control-formats.ts';
import { crc32c, legacyCrc32 } from './crc32.ts';
import { isSegmentSize } from './lsn.ts';

/** The whole file; its end is filled with zeros, so that a short copy is found. */
export const controlFileBytes = 8192;

const clusterStates = [
  'starting-up',
  'shut-down',
  'shut-down-in-recovery',
  'shutting-down',
  'in-crash-recovery',
  'in-archive-recovery',
  'in-production',
] as const;

export type ClusterState = (typeof clusterStates)[number] | 'unknown';

export interface ControlFile {
  /** Decimal, as PostgreSQL prints it. */
  readonly systemIdentifier: string;
  readonly catalogVersion: number;
  readonly state: ClusterState;
  /** When the file was written, in seconds since 1970. */
  readonly time: bigint;
  /** The location of the last checkpoint's record; on a standby, of the last restartpoint's. */
  readonly checkpointLsn: bigint;
  /** Where recovery starts: no WAL before it is needed. */
  readonly redoLsn: bigint;
  /** The timeline of the last checkpoint. */
  readonly timeline: number;
  /** The file's own checksum. A different one shows that the file was written since. */
  readonly checksum: number;
  /** In bytes; undefined if the fields behind the checkpoint have an unknown layout. */
  readonly walSegmentSize: number | undefined;
  /**
   * Undefined if the offsets of these fields are not certain: before 10, and on machines that align them differently.
   */
  readonly progress?: RecoveryProgress | undefined;
}

/** How far a recovery has come. */
interface RecoveryProgress {
  /** When the last checkpoint was made on the primary, in seconds since 1970. */
  readonly checkpointTime: bigint;
  /** No recovery can stop before this location any more; 0 if no recovery has begun. */
  readonly minRecoveryLsn: bigint;
  /** The timeline of that location. */
  readonly minRecoveryTimeline: number;
  /** Transactions before this one had ended at the last checkpoint. */
  readonly endedBeforeXid: number;
}

/** How the cluster cuts its relations into pages and files. */
export interface PageLayout {
  /** In bytes. */
  readonly blockSize: number;
  /** The number of pages in one file: a larger relation continues in a file whose name ends with `.1`. */
  readonly segmentBlocks: number;
  /**
   * From 9.3, if initdb or, from 12, pg_checksums turned them on. From 19 on a running server can do that: as long as it
   * turns them on or off, only some pages have one.
   */
  readonly hasChecksums: boolean;
}

export type ControlFileCheck =
  | { readonly kind: 'good'; readonly control: ControlFile }
  | { readonly kind: 'bad'; readonly reason: string };

export function checkControlFile(bytes: Uint8Array): ControlFileCheck {
  if (bytes.length !== controlFileBytes) {
    return { kind: 'bad', reason: `pg_control has ${bytes.length} bytes instead of ${controlFileBytes}` };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = byteOrderOf(view);
  if (littleEndian === undefined) {
    return { kind: 'bad', reason: `pg_control has the unknown format ${view.getUint32(8, true)}` };
  }
  const checksumOffset = findChecksum(bytes, view, littleEndian);
  if (checksumOffset === undefined) {
    return { kind: 'bad', reason: 'the checksum of pg_control does not fit its contents' };
  }
  const controlVersion = view.getUint32(8, littleEndian);
  const format = controlFormats.get(controlVersion);
  if (format === undefined) {
    return {
      kind: 'bad',
      reason: `pg_control is of version ${controlVersion}, which this release of pitrtools does not know`,
    };
  }
  return { kind: 'good', control: readFields({ view, littleEndian, format }, checksumOffset) };
}

/**
 * Reads only the system identifier, which is at the same offset in every version. For a file that the server may be
 * writing while we read it: its checksum does not count.
 */
export function systemIdentifierOf(bytes: Uint8Array): string | undefined {
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = byteOrderOf(view);
  return littleEndian === undefined ? undefined : view.getBigUint64(0, littleEndian).toString();
}

/** If the file is read in the wrong byte order, the number of the format (843 for 8.4, 1800 for 18) becomes huge. */
function byteOrderOf(view: DataView): boolean | undefined {
  const isFormat = (value: number) => value >= 843 && value < 10_000;
  if (isFormat(view.getUint32(8, true))) return true;
  return isFormat(view.getUint32(8, false)) ? false : undefined;
}

/** The shortest known structure (8.4 on a 32-bit machine) and the longest that one disk sector holds. */
const firstChecksumOffset = 120;
const lastChecksumOffset = 508;

/** The offset of the checksum, if it matches the bytes before it. */
function findChecksum(bytes: Uint8Array, view: DataView, littleEndian: boolean): number | undefined {
  for (let offset = firstChecksumOffset; offset <= lastChecksumOffset; offset += 4) {
    const stored = view.getUint32(offset, littleEndian);
    const covered = bytes.subarray(0, offset);
    // 9.4 and 9.5 have the same format number and different checksums.
    if (stored === crc32c(covered) || stored === legacyCrc32(covered)) return offset;
  }
  return undefined;
}

/** A valid file of any known version. */
export interface Opened {
  readonly view: DataView;
  readonly littleEndian: boolean;
  /** The offset of the checksum: all other fields are before it. */
  readonly end: number;
  readonly controlVersion: number;
}

/** Undefined if the file is invalid. */
export function openControlFile(bytes: Uint8Array): Opened | undefined {
  if (checkControlFile(bytes).kind === 'bad') return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = byteOrderOf(view) === true;
  const end = findChecksum(bytes, view, littleEndian) ?? 0;
  return { view, littleEndian, end, controlVersion: view.getUint32(8, littleEndian) };
}

/**
 * A constant that proves how floating-point numbers are stored. Four sizes follow it: of a page, of a file of a relation
 * in pages, of a page of the WAL, and of a segment of the WAL. In 19 another one precedes the last two.
 */
const floatFormat = 1_234_567;

export function findFloatFormat({
  view,
  littleEndian,
  end,
}: Pick<Opened, 'view' | 'littleEndian' | 'end'>): number | undefined {
  for (let offset = 64; offset + 28 <= end; offset += 4) {
    if (view.getFloat64(offset, littleEndian) === floatFormat) return offset;
  }
  return undefined;
}

/** Undefined if the file is invalid. */
export function pageLayoutOf(bytes: Uint8Array): PageLayout | undefined {
  const opened = openControlFile(bytes);
  const offset = opened === undefined ? undefined : findFloatFormat(opened);
  if (opened === undefined || offset === undefined) return undefined;
  const { view, littleEndian, end, controlVersion } = opened;
  const behind = controlFormats.get(controlVersion)?.behindChecksumVersion;
  const checksumVersion = behind === undefined ? 0 : view.getUint32(end - behind - 4, littleEndian);
  return {
    blockSize: view.getUint32(offset + 8, littleEndian),
    segmentBlocks: view.getUint32(offset + 12, littleEndian),
    // 0 stands for none; 2 and 3, from 19 on, for a change that is in progress.
    hasChecksums: checksumVersion === 1,
  };
}

interface Fields {
  readonly view: DataView;
  readonly littleEndian: boolean;
  readonly format: ControlFormat;
}

function readFields(fields: Fields, checksumOffset: number): ControlFile {
  const { view, littleEndian, format } = fields;
  const timeOffset = timeOffsetOf(view, littleEndian);
  const redoOffset = timeOffset + (format.hasPriorCheckpoint ? 24 : 16);
  const catalogVersion = view.getUint32(12, littleEndian);
  const floatAt = findFloatFormat({ view, littleEndian, end: checksumOffset });
  return {
    systemIdentifier: view.getBigUint64(0, littleEndian).toString(),
    catalogVersion,
    state: stateOf(view.getUint32(16, littleEndian), catalogVersion),
    time: view.getBigInt64(timeOffset, littleEndian),
    checkpointLsn: readLsn(fields, timeOffset + 8),
    redoLsn: readLsn(fields, redoOffset),
    timeline: view.getUint32(redoOffset + 8, littleEndian),
    checksum: view.getUint32(checksumOffset, littleEndian),
    walSegmentSize: floatAt === undefined ? undefined : segmentSizeAt(fields, floatAt),
    progress: timeOffset === 24 ? progressOf(fields, redoOffset) : undefined,
  };
}

/** Undefined if the file has another layout there than its format is known to have. */
function segmentSizeAt({ view, littleEndian, format }: Fields, floatAt: number): number | undefined {
  const size = view.getUint32(floatAt + format.segmentSizeBehindFloat, littleEndian);
  return isSegmentSize(size) ? size : undefined;
}

function progressOf(
  { view, littleEndian, format }: Fields,
  redoOffset: number,
): RecoveryProgress | undefined {
  const { progress: at } = format;
  if (at === undefined) return undefined;
  // In the other byte order the lower half comes last.
  const nextXid = at.nextXid + (littleEndian ? 0 : at.nextXidBytes - 4);
  const oldestActive = view.getUint32(redoOffset + at.oldestActiveXid, littleEndian);
  return {
    checkpointTime: view.getBigInt64(redoOffset + at.time, littleEndian),
    minRecoveryLsn: view.getBigUint64(redoOffset + at.minRecoveryLsn, littleEndian),
    minRecoveryTimeline: view.getUint32(redoOffset + at.minRecoveryLsn + 8, littleEndian),
    // At a shutdown checkpoint no transaction is in progress.
    endedBeforeXid: oldestActive === 0 ? view.getUint32(redoOffset + nextXid, littleEndian) : oldestActive,
  };
}

/**
 * After the state, at 16, the time follows as a 64-bit integer: on most machines at 24 with zeros before it, on
 * 32-bit x86 at 20.
 */
function timeOffsetOf(view: DataView, littleEndian: boolean): number {
  return view.getUint32(20, littleEndian) === 0 ? 24 : 20;
}

function readLsn({ view, littleEndian, format }: Fields, offset: number): bigint {
  if (!format.hasLsnHalves) return view.getBigUint64(offset, littleEndian);
  return (
    (BigInt(view.getUint32(offset, littleEndian)) << 32n) | BigInt(view.getUint32(offset + 4, littleEndian))
  );
}

/** 9.0 put a state in the middle of 8.4's list; no other release changed it. */
const firstCatalogVersionOf90 = 201008051;

function stateOf(value: number, catalogVersion: number): ClusterState {
  const skipsOne = catalogVersion < firstCatalogVersionOf90 && value >= 2;
  return clusterStates[skipsOne ? value + 1 : value] ?? 'unknown';
}
