import { createRandom } from './random.ts';

/** What to build: a whole segment file as PostgreSQL leaves it in pg_wal. */
export interface WalSpec {
  /** 24 hexadecimal digits. */
  readonly name: string;
  readonly systemIdentifier: bigint;
  /** Major version as people write it: `8.4`, `9.6`, `15`. */
  readonly version: string;
  /** 16 MB by default. */
  readonly segmentBytes?: number;
  /** Same seed, same bytes. */
  readonly seed?: number;
  /** Timeline in the page headers, where it differs from the name's: the first segment after a promotion. */
  readonly headerTimeline?: number;
  /** Page address in the first header, where it shall be wrong: a recycled segment. */
  readonly headerSegment?: bigint;
}

const pageBytes = 8192;
const longHeader = 0x0002;

/** The first two bytes of every page, by version (access/xlog_internal.h). */
const pageMagic: Readonly<Record<string, number>> = {
  '8.4': 0xd063,
  '9.0': 0xd064,
  '9.1': 0xd066,
  '9.2': 0xd071,
  '9.3': 0xd075,
  '9.4': 0xd07e,
  '9.5': 0xd087,
  '9.6': 0xd093,
  '10': 0xd097,
  '11': 0xd098,
  '12': 0xd101,
  '13': 0xd106,
  '14': 0xd10d,
  '15': 0xd110,
  '16': 0xd113,
  '17': 0xd116,
  '18': 0xd118,
};

export function walMagic(version: string): number {
  const magic = pageMagic[version];
  if (magic === undefined) throw new Error(`no page magic known for PostgreSQL ${version}`);
  return magic;
}

/** A segment with valid page headers and content that compresses badly and differs from page to page. */
export function buildWal(spec: WalSpec): Buffer {
  const segmentBytes = spec.segmentBytes ?? 16 * 1024 * 1024;
  const segment = spec.headerSegment ?? segmentNumber(spec.name, spec.version, segmentBytes);
  const bytes = filler(segmentBytes, spec.seed ?? 1);
  for (let offset = 0; offset < segmentBytes; offset += pageBytes) {
    writePageHeader(bytes, offset, { ...spec, segment, segmentBytes });
  }
  writeLongHeader(bytes, spec, segmentBytes);
  return bytes;
}

/** Name of the segment with this number, counted from 0 as PostgreSQL counts: up to 9.2, FF is skipped. */
export function walName(
  timeline: number,
  segment: bigint,
  version = '15',
  segmentBytes = 16 * 1024 * 1024,
): string {
  const perLog = segmentsPerLog(version, segmentBytes);
  return [BigInt(timeline), segment / perLog, segment % perLog].map(hexadecimal).join('');
}

export function segmentNumber(name: string, version = '15', segmentBytes = 16 * 1024 * 1024): bigint {
  const log = BigInt(`0x${name.slice(8, 16)}`);
  return log * segmentsPerLog(version, segmentBytes) + BigInt(`0x${name.slice(16, 24)}`);
}

/** Up to 9.2 the last segment of each 4 GB is left out. */
function segmentsPerLog(version: string, segmentBytes: number): bigint {
  const whole = 0x1_0000_0000n / BigInt(segmentBytes);
  return isOldFormat(version) ? whole - 1n : whole;
}

function isOldFormat(version: string): boolean {
  return Number(version) < 9.3;
}

function hexadecimal(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

interface PageSpec extends WalSpec {
  readonly segment: bigint;
  readonly segmentBytes: number;
}

function writePageHeader(bytes: Buffer, offset: number, page: PageSpec): void {
  bytes.writeUInt16LE(walMagic(page.version), offset);
  bytes.writeUInt16LE(offset === 0 ? longHeader : 0, offset + 2);
  bytes.writeUInt32LE(page.headerTimeline ?? parseInt(page.name.slice(0, 8), 16), offset + 4);
  if (isOldFormat(page.version)) {
    const perLog = segmentsPerLog(page.version, page.segmentBytes);
    bytes.writeUInt32LE(Number(page.segment / perLog), offset + 8);
    bytes.writeUInt32LE(Number(page.segment % perLog) * page.segmentBytes + offset, offset + 12);
    return;
  }
  bytes.writeBigUInt64LE(page.segment * BigInt(page.segmentBytes) + BigInt(offset), offset + 8);
  // No record continues from the page before.
  bytes.writeBigUInt64LE(0n, offset + 16);
}

function writeLongHeader(bytes: Buffer, spec: WalSpec, segmentBytes: number): void {
  const start = isOldFormat(spec.version) ? 16 : 24;
  bytes.writeBigUInt64LE(spec.systemIdentifier, start);
  bytes.writeUInt32LE(segmentBytes, start + 8);
  bytes.writeUInt32LE(pageBytes, start + 12);
}

/** One random page, of which every page is a rotation: fast, and no two pages are alike. */
function filler(length: number, seed: number): Buffer {
  const random = createRandom(seed);
  const noise = Buffer.alloc(2 * pageBytes, 0);
  for (let i = 0; i < pageBytes; i++) noise[i] = noise[i + pageBytes] = Math.floor(random() * 256);
  const bytes = Buffer.allocUnsafe(length);
  for (let offset = 0; offset < length; offset += pageBytes) {
    const start = Math.floor(random() * pageBytes);
    noise.copy(bytes, offset, start, start + pageBytes);
  }
  return bytes;
}

/** The first bytes of global/pg_control, which identify the cluster of a data directory. */
export function controlFileStart(systemIdentifier: bigint): Buffer {
  const bytes = Buffer.alloc(pageBytes);
  bytes.writeBigUInt64LE(systemIdentifier);
  return bytes;
}
