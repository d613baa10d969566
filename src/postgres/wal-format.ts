/**
 * How each release lays out the pages and records of its WAL (`src/include/access/xlog_internal.h` and
 * `xlogrecord.h`, up to 9.4 `xlog.h`), as far as needed to walk from record to record and to check each one.
 */
import { castagnoliCrc, type Crc, legacyCrc } from './crc32.ts';
import { firstMagicOf93, pageMagics } from './wal-header.ts';

/** 64-bit integers are aligned to 4 bytes on 32-bit x86, and so are WAL records there. */
export type Alignment = 4 | 8;

export interface WalFormat {
  readonly magic: number;
  readonly littleEndian: boolean;
  readonly alignment: Alignment;
  /** In bytes. */
  readonly blockSize: number;
  readonly segmentSize: number;
  readonly shortPageHeader: number;
  readonly longPageHeader: number;
  /** Up to 9.2 the remaining length of a record follows the page header, outside of it. */
  readonly remainderBytes: 0 | 4;
  readonly recordHeader: number;
  readonly totalLengthOffset: number;
  readonly previousOffset: number;
  readonly rmgrOffset: number;
  readonly infoOffset: number;
  readonly checksumOffset: number;
  /** Up to 9.2 the end of a page never cuts a record's header. */
  readonly cutsHeaders: boolean;
  /** Up to 9.2 a location is two 32-bit integers, the high one first on every machine. */
  readonly highHalfFirst: boolean;
  readonly checksum: Crc;
}

type Records = Pick<
  WalFormat,
  | 'recordHeader'
  | 'totalLengthOffset'
  | 'previousOffset'
  | 'rmgrOffset'
  | 'infoOffset'
  | 'checksumOffset'
  | 'checksum'
>;

export function alignUp(bytes: number, alignment: Alignment): number {
  return bytes + ((alignment - (bytes % alignment)) % alignment);
}

/** From 9.5. */
const records95: Records = {
  recordHeader: 24,
  totalLengthOffset: 0,
  previousOffset: 8,
  infoOffset: 16,
  rmgrOffset: 17,
  checksumOffset: 20,
  checksum: castagnoliCrc,
};

function records93(alignment: Alignment): Records {
  return {
    recordHeader: alignUp(28, alignment),
    totalLengthOffset: 0,
    previousOffset: 16,
    infoOffset: 12,
    rmgrOffset: 13,
    checksumOffset: 24,
    checksum: legacyCrc,
  };
}

function records84(alignment: Alignment): Records {
  return {
    recordHeader: alignUp(26, alignment),
    totalLengthOffset: 16,
    previousOffset: 4,
    infoOffset: 24,
    rmgrOffset: 25,
    checksumOffset: 0,
    checksum: legacyCrc,
  };
}

const firstMagicOf95 = 0xd087;

/** Undefined for WAL of a release that this program does not know. */
export function walFormat(
  page: Pick<WalFormat, 'magic' | 'littleEndian' | 'alignment' | 'blockSize' | 'segmentSize'>,
): WalFormat | undefined {
  const { magic, alignment } = page;
  if (!pageMagics.has(magic)) return undefined;
  const isOld = magic < firstMagicOf93;
  const shortPageHeader = isOld ? 16 : alignUp(20, alignment);
  const newer = magic < firstMagicOf95 ? records93(alignment) : records95;
  return {
    ...page,
    shortPageHeader,
    longPageHeader: shortPageHeader + 16,
    remainderBytes: isOld ? 4 : 0,
    cutsHeaders: !isOld,
    highHalfFirst: isOld,
    ...(isOld ? records84(alignment) : newer),
  };
}
