import { type BackupContext, runOnCopy } from '../context.ts';
import { copiedRoots } from './pgdata-files.ts';

/** Flushes the file systems of the copy to the disk: all that any process wrote to them. */
export async function flushCopy(context: BackupContext, signal = context.deps.signal): Promise<void> {
  const command = { program: 'sync', args: ['-f', '--', ...(await copiedRoots(context))] };
  await runOnCopy(context.deps, command, 'cannot flush the copy to the disk', signal);
}

/** Flushes what there is by now while more is copied, so that little is left for the end. */
export interface FlushMeanwhile {
  /** Takes the number of bytes so far. */
  readonly note: (bytes: number) => void;
  /** Waits for the flush in progress. */
  readonly end: () => Promise<void>;
}

/** Often enough to keep the disk busy, seldom enough not to be felt. */
const everyBytes = 256 * 1024 * 1024;

/** @param onError the system reports a page that it could not write only once: then the copy cannot be used */
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
