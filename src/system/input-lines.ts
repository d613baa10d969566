import { createInterface } from 'node:readline';

/** The lines of our standard input, until it ends or the signal comes. */
export async function* inputLines(signal: AbortSignal): AsyncIterable<string> {
  yield* createInterface({ input: process.stdin, signal, crlfDelay: Infinity });
  signal.throwIfAborted();
}
