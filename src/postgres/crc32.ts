/**
 * The checksums of `global/pg_control` and of WAL records: CRC-32C from 9.5, before that a CRC of PostgreSQL's own. Each may be
 * computed in parts: `finish(add(start, bytes))`.
 */

export interface Crc {
  readonly start: number;
  /** Takes in the bytes from `from` up to, but not including, `to`. */
  readonly add: (crc: number, bytes: Uint8Array, from: number, to: number) => number;
  readonly finish: (crc: number) => number;
}

function finish(crc: number): number {
  return ~crc >>> 0;
}

const slices = 8;

/** Table `n` of the slices holds, for each byte, the checksum of that byte followed by `n` zero bytes. */
function slicedTable(polynomial: number): Int32Array {
  const table = new Int32Array(256 * slices);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    table[byte] = value;
  }
  for (let index = 256; index < table.length; index++) {
    const before = at(table, index - 256);
    table[index] = at(table, before & 0xff) ^ (before >>> 8);
  }
  return table;
}

function at(table: Int32Array, index: number): number {
  return table[index] ?? 0;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

const castagnoli = once(() => slicedTable(0x82f63b78));
const ethernet = once(() => slicedTable(0xedb88320).subarray(0, 256));

/** We process eight bytes at a time, because gigabytes of WAL are read. */
function addCastagnoli(start: number, bytes: Uint8Array, from: number, to: number): number {
  const table = castagnoli();
  let crc = start;
  let index = from;
  for (; index + 8 <= to; index += 8) {
    const low = crc ^ word(bytes, index);
    crc =
      at(table, 1792 + (low & 0xff)) ^
      at(table, 1536 + ((low >>> 8) & 0xff)) ^
      at(table, 1280 + ((low >>> 16) & 0xff)) ^
      at(table, 1024 + (low >>> 24)) ^
      at(table, 768 + (bytes[index + 4] ?? 0)) ^
      at(table, 512 + (bytes[index + 5] ?? 0)) ^
      at(table, 256 + (bytes[index + 6] ?? 0)) ^
      at(table, bytes[index + 7] ?? 0);
  }
  for (; index < to; index++) crc = at(table, (crc ^ (bytes[index] ?? 0)) & 0xff) ^ (crc >>> 8);
  return crc;
}

function word(bytes: Uint8Array, index: number): number {
  return (
    (bytes[index] ?? 0) |
    ((bytes[index + 1] ?? 0) << 8) |
    ((bytes[index + 2] ?? 0) << 16) |
    ((bytes[index + 3] ?? 0) << 24)
  );
}

/**
 * PostgreSQL up to 9.4 took the table of the CRC-32 that shifts right (Ethernet's) and shifted left with it;
 * the result is neither the one nor the other.
 */
function addLegacy(start: number, bytes: Uint8Array, from: number, to: number): number {
  const table = ethernet();
  let crc = start;
  for (let index = from; index < to; index++)
    crc = at(table, ((crc >>> 24) ^ (bytes[index] ?? 0)) & 0xff) ^ (crc << 8);
  return crc;
}

export const castagnoliCrc: Crc = { start: 0xffffffff, add: addCastagnoli, finish };
export const legacyCrc: Crc = { start: 0xffffffff, add: addLegacy, finish };

function checksumOf({ start, add, finish: end }: Crc, bytes: Uint8Array): number {
  return end(add(start, bytes, 0, bytes.length));
}

export function crc32c(bytes: Uint8Array): number {
  return checksumOf(castagnoliCrc, bytes);
}

export function legacyCrc32(bytes: Uint8Array): number {
  return checksumOf(legacyCrc, bytes);
}
