const mega = 1024 ** 2;

/** A number of bytes in the unit in which df shows it. */
export function inMegabytes(bytes: number): string {
  const megabytes = Math.max(0, bytes) / mega;
  return `${Number(megabytes.toFixed(megabytes < 100 ? 1 : 0))} MB`;
}
