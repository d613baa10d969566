/**
 * The header of a WAL segment's first page, and what it proves about the file that begins with it.
 *
 * The layout (`src/include/access/xlog_internal.h`) in the byte order of the machine that wrote it:
 * magic 2, info 2, timeline 4, page address 8; then, at an offset that depends on the version and on the
 * alignment of 64-bit integers, system identifier 8, segment size 4, page size 4.
 */
import { firstLsnOf, formatLsn, isSegmentSize } from './lsn.ts';
import type { SegmentName } from './wal-name.ts';

/** The number of bytes of a segment that must be read to check it. */
export const longHeaderBytes = 40;

/** XLOG_PAGE_MAGIC of every release. It changed between the betas of 19. */
export const pageMagics: ReadonlyMap<number, string> = new Map([
  [0xd063, '8.4'],
  [0xd064, '9.0'],
  [0xd066, '9.1'],
  [0xd071, '9.2'],
  [0xd075, '9.3'],
  [0xd07e, '9.4'],
  [0xd087, '9.5'],
  [0xd093, '9.6'],
  [0xd097, '10'],
  [0xd098, '11'],
  [0xd101, '12'],
  [0xd106, '13'],
  [0xd10d, '14'],
  [0xd110, '15'],
  [0xd113, '16'],
  [0xd116, '17'],
  [0xd118, '18'],
  [0xd120, '19'],
  [0xd121, '19'],
  [0xd122, '19'],
]);

/** From 9.3 on, locations are 64-bit integers and the page header is longer. */
export const firstMagicOf93 = 0xd075;
const longHeaderFlag = 0x0002;

export interface WalHeader {
  readonly kind: 'header';
  readonly magic: number;
  /** The major release that wrote the page; undefined for a magic number that is newer than this program. */
  readonly major: string | undefined;
  readonly timeline: number;
  readonly pageAddress: bigint;
  /** Decimal, as PostgreSQL prints it. */
  readonly systemIdentifier: string;
  readonly segmentSize: number;
  readonly blockSize: number;
  readonly littleEndian: boolean;
  /** The alignment of 64-bit integers on the machine that wrote it. Up to 9.2 the header does not show it. */
  readonly alignment: 4 | 8 | undefined;
}

export interface NoWalHeader {
  readonly kind: 'no-header';
  readonly reason: string;
}

export function parseWalHeader(bytes: Uint8Array): WalHeader | NoWalHeader {
  if (bytes.length < longHeaderBytes) return noHeader(`too short for a WAL page: ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = byteOrderOf(view);
  if (littleEndian === undefined)
    return noHeader(`no WAL page: it begins with ${hexOf(view.getUint16(0, true))}`);
  const magic = view.getUint16(0, littleEndian);
  if ((view.getUint16(2, littleEndian) & longHeaderFlag) === 0) {
    return noHeader('the first page does not have the long header of a segment');
  }
  for (const identifierOffset of identifierOffsets(magic)) {
    const header = readAt(view, littleEndian, magic, identifierOffset);
    if (isPlausible(header)) return header;
  }
  return noHeader('the segment and page sizes in the first page header are impossible');
}

/**
 * A magic number that this program does not know is no error. Every release changes it, and refusing the WAL of a
 * newer release would stop archiving on the day of the upgrade. All have begun with the digit D so far. The page's
 * cluster, place and timeline are checked all the same.
 */
function byteOrderOf(view: DataView): boolean | undefined {
  if (pageMagics.has(view.getUint16(0, true))) return true;
  if (pageMagics.has(view.getUint16(0, false))) return false;
  if (view.getUint16(0, true) >= 0xd000 && view.getUint16(0, true) <= 0xdfff) return true;
  return view.getUint16(0, false) >= 0xd000 && view.getUint16(0, false) <= 0xdfff ? false : undefined;
}

/** 20: from 9.3 if 64-bit integers are aligned to 4 bytes, as on 32-bit x86. */
function identifierOffsets(magic: number): readonly number[] {
  return magic < firstMagicOf93 ? [16] : [24, 20];
}

function readAt(view: DataView, littleEndian: boolean, magic: number, identifierOffset: number): WalHeader {
  return {
    kind: 'header',
    magic,
    major: pageMagics.get(magic),
    timeline: view.getUint32(4, littleEndian),
    pageAddress: magic < firstMagicOf93 ? halves(view, littleEndian) : view.getBigUint64(8, littleEndian),
    systemIdentifier: view.getBigUint64(identifierOffset, littleEndian).toString(),
    segmentSize: view.getUint32(identifierOffset + 8, littleEndian),
    blockSize: view.getUint32(identifierOffset + 12, littleEndian),
    littleEndian,
    alignment: alignmentOf(identifierOffset),
  };
}

function alignmentOf(identifierOffset: number): WalHeader['alignment'] {
  if (identifierOffset === 16) return undefined;
  return identifierOffset === 20 ? 4 : 8;
}

/** Up to 9.2 a location is two 32-bit integers, the high one first on every machine. */
function halves(view: DataView, littleEndian: boolean): bigint {
  return (BigInt(view.getUint32(8, littleEndian)) << 32n) | BigInt(view.getUint32(12, littleEndian));
}

function isPlausible({ segmentSize, blockSize }: WalHeader): boolean {
  return isSegmentSize(segmentSize) && [1, 2, 4, 8, 16, 32, 64].includes(blockSize / 1024);
}

/** The values that the header must have. */
export interface SegmentExpectation {
  readonly name: SegmentName;
  /** Decimal: the cluster that the segment must belong to. */
  readonly systemIdentifier: string;
  /** In bytes. */
  readonly fileSize: number;
  /**
   * Whether `name.timeline` branched off `timeline`, directly or not. The answer comes from the timeline's `.history`
   * file, which the server writes before the timeline's first segment and never removes. Without that file the answer
   * is no.
   */
  readonly isAncestor: (timeline: number) => boolean;
}

type SegmentProblem = 'no-header' | 'foreign' | 'truncated' | 'wrong-place' | 'wrong-timeline';

export type SegmentCheck =
  | { readonly kind: 'good'; readonly header: WalHeader }
  | { readonly kind: 'bad'; readonly problem: SegmentProblem; readonly reason: string };

/**
 * Whether the file that begins with `bytes` is the segment that its name says, complete, of this cluster. The first
 * segment after a promotion may have an ancestor's timeline in its header, because its first pages are copied from
 * the old timeline.
 */
export function checkSegmentHeader(bytes: Uint8Array, expected: SegmentExpectation): SegmentCheck {
  const header = parseWalHeader(bytes);
  if (header.kind === 'no-header') return bad('no-header', header.reason);
  const { name } = expected;
  if (header.systemIdentifier !== expected.systemIdentifier) {
    return bad(
      'foreign',
      `it belongs to cluster ${header.systemIdentifier}, not to ${expected.systemIdentifier}`,
    );
  }
  if (expected.fileSize !== header.segmentSize) {
    return bad('truncated', `it has ${expected.fileSize} bytes instead of ${header.segmentSize}`);
  }
  const address = firstLsnOf(name, header.segmentSize);
  if (header.pageAddress !== address || name.seg >= 0x1_0000_0000 / header.segmentSize) {
    return bad(
      'wrong-place',
      `it begins at ${formatLsn(header.pageAddress)}, but its name says ${formatLsn(address)}`,
    );
  }
  if (header.timeline !== name.timeline && !expected.isAncestor(header.timeline)) {
    return bad(
      'wrong-timeline',
      `it is of timeline ${header.timeline}, no ancestor of timeline ${name.timeline}`,
    );
  }
  return { kind: 'good', header };
}

function bad(problem: SegmentProblem, reason: string): SegmentCheck {
  return { kind: 'bad', problem, reason };
}

function noHeader(reason: string): NoWalHeader {
  return { kind: 'no-header', reason };
}

function hexOf(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(4, '0')}`;
}
