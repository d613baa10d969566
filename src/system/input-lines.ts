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
  let rest = Buffer.alloc(0);
  for await (const chunk of input) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      yield rest.subarray(0, end).toString('utf8');
      rest = rest.subarray(end + 1);
    }
    if (rest.length > longest) break;
  }
  if (rest.length > 0) yield rest.toString('utf8');
}
