import { createInterface } from 'node:readline';

/** The lines of our standard input, until it ends or the signal comes. */
export async function* inputLines(signal: AbortSignal): AsyncIterable<string> {
  yield* createInterface({ input: process.stdin, signal, crlfDelay: Infinity });
  signal.throwIfAborted();
}

/**
 * The same for input that is perhaps meant to harm us: only a line feed ends a line, and one that is longer is passed as far
 * as it came, and is the last one.
 */
export async function* limitedLines(input: AsyncIterable<Buffer>, longest: number): AsyncIterable<string> {
  let parts: Buffer[] = [];
  let bytes = 0;
  const line = (): string => {
    const text = Buffer.concat(parts).toString('utf8');
    [parts, bytes] = [[], 0];
    return text;
  };
  const keep = (part: Buffer): void => {
    if (part.length > 0) parts.push(part);
    bytes += part.length;
  };
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      keep(chunk.subarray(start, end));
      yield line();
      start = end + 1;
    }
    keep(chunk.subarray(start));
    if (bytes > longest) break;
  }
  if (bytes > 0) yield line();
}
