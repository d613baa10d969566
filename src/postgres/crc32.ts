/** The checksums of `global/pg_control`: CRC-32C from 9.5, before that a CRC of PostgreSQL's own. */

export function crc32c(bytes: Uint8Array): number {
  const table = reflectedTable(0x82f63b78);
  let crc = 0xffffffff;
  for (const byte of bytes) crc = at(table, crc ^ byte) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * PostgreSQL up to 9.4 took the table of the CRC-32 that shifts right (Ethernet's) and shifted left with it;
 * the result is neither the one nor the other.
 */
export function legacyCrc32(bytes: Uint8Array): number {
  const table = reflectedTable(0xedb88320);
  let crc = 0xffffffff;
  for (const byte of bytes) crc = at(table, (crc >>> 24) ^ byte) ^ (crc << 8);
  return ~crc >>> 0;
}

function at(table: Int32Array, index: number): number {
  return table[index & 0xff] ?? 0;
}

const tables = new Map<number, Int32Array>();

function reflectedTable(polynomial: number): Int32Array {
  const known = tables.get(polynomial);
  if (known !== undefined) return known;
  const table = Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
  tables.set(polynomial, table);
  return table;
}
