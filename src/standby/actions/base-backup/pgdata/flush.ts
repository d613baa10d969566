import { type BackupContext, runOnCopy } from '../context.ts';
import { copiedRoots } from './pgdata-files.ts';

/** Flushes the file systems of the copy to the disk, including the writes of other processes. */
export async function flushCopy(context: BackupContext, signal = context.deps.signal): Promise<void> {
  const command = { program: 'sync', args: ['-f', '--', ...(await copiedRoots(context))] };
  await runOnCopy(context.deps, command, 'cannot flush the copy to the disk', signal);
}

/** Flushes the files that exist already while others are copied, so that little remains for the end. */
export interface FlushMeanwhile {
  /** Receives the number of bytes that were copied so far. */
  readonly note: (bytes: number) => void;
  /** Waits for the flush in progress. */
  readonly end: () => Promise<void>;
}

/** Often enough to keep the disk busy, and rarely enough to cost little. */
const everyBytes = 256 * 1024 * 1024;

/**
 * @param onError receives an error of a flush. The system reports a page that it could not write only once, so the copy
 * cannot be used after it
 */
export function flushMeanwhile(
  flush: () => Promise<void>,
  onError: (error: unknown) => void,
): FlushMeanwhile {
  let flushed = 0;
  let current: Promise<void> | undefined;
  return {
    note: (bytes) => {
      if (current !== undefined || bytes - flushed < everyBytes) return;
      flushed = bytes;
      current = flush()
        .catch(onError)
        .finally(() => {
          current = undefined;
        });
    },
    end: async () => {
      await current;
    },
  };
}
