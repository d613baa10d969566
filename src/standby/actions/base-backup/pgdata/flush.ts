import { type BackupContext, runOnCopy } from '../context.ts';
import type { Amount } from '../progress/events.ts';
import { copiedRoots } from './pgdata-files.ts';

/** Flushes the file systems of the copy to the disk, including the writes of other processes. */
export async function flushCopy(context: BackupContext, signal = context.deps.signal): Promise<void> {
  const command = { program: 'sync', args: ['-f', '--', ...(await copiedRoots(context))] };
  await runOnCopy(context.deps, command, 'cannot flush the copy to the disk', signal);
}

/** Flushes the files that exist already while others are copied, so that little remains for the end. */
export interface FlushMeanwhile {
  /** Receives what was copied so far. */
  readonly note: (copied: Amount) => void;
  /** Waits for the flush in progress. */
  readonly end: () => Promise<void>;
}

/** Often enough to keep the disk busy, and rarely enough to cost little. */
const everyBytes = 256 * 1024 * 1024;
/** For the disk a new file is more than its bytes: its inode, its place in the directory, and both in the journal. */
const bytesOfFile = 32 * 1024;

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
    note: ({ bytes, files }) => {
      const weight = bytes + files * bytesOfFile;
      if (current !== undefined || weight - flushed < everyBytes) return;
      flushed = weight;
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
