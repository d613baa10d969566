const mega = 1024 ** 2;

/** A number of bytes as a person compares it with what df says. */
export function inMegabytes(bytes: number): string {
  return `${(Math.max(0, bytes) / mega).toFixed(bytes < 100 * mega ? 1 : 0)} MB`;
}
