import { addAbortSignal, type Readable } from 'node:stream';

/** The lines of our standard input, or of `input`, until it ends or the signal comes. `onCut`: its end was no line. */
export async function* inputLines(
  signal: AbortSignal,
  onCut: () => void,
  input: Readable = process.stdin,
): AsyncIterable<string> {
  signal.throwIfAborted();
  try {
    for await (const line of limitedLines(addAbortSignal(signal, input), Infinity, onCut))
      yield line.replace(/\r$/, '');
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/**
 * The same for input that is perhaps meant to harm us: only a line feed ends a line, and one that is longer is passed as far
 * as it came, and is the last one. What follows the last line feed is passed to nobody: where the connection is lost in the
 * middle of a line, its last word may be the beginning of another one, and look as whole.
 */
export async function* limitedLines(
  input: AsyncIterable<Buffer>,
  longest: number,
  onCut?: () => void,
): AsyncIterable<string> {
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
    if (bytes > longest) {
      yield line();
      return;
    }
  }
  if (bytes > 0) onCut?.();
}
