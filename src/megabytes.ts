const mega = 1024 ** 2;

/** A number of bytes as a person compares it with what df says. */
export function inMegabytes(bytes: number): string {
  const megabytes = Math.max(0, bytes) / mega;
  return `${Number(megabytes.toFixed(megabytes < 100 ? 1 : 0))} MB`;
}
