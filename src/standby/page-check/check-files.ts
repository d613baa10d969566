import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BadPage, FileCheck } from './check-file.ts';
import type { RelationFile } from './relation-files.ts';
import type { WorkerData } from './worker.ts';

/** The sum over all files. */
export interface CopyCheck {
  files: number;
  pages: number;
  bytes: number;
  readonly bad: BadPage[];
  readonly troubles: { readonly path: string; readonly reason: string }[];
}

/** More readers than this only slow each other down on a disk. */
const mostThreads = 8;
/** Small files are passed to a thread together; one of 1 GB keeps it busy for a second. */
const batchFiles = 32;

/** Adds what was found in these files. */
export function addChecks(
  tally: CopyCheck,
  files: readonly RelationFile[],
  checks: readonly FileCheck[],
): void {
  for (const [index, { pages, bytes, bad, trouble }] of checks.entries()) {
    tally.files += 1;
    tally.pages += pages;
    tally.bytes += bytes;
    // A call takes no more arguments than fit on the stack: fewer than a file of 1 GB has pages.
    for (const page of bad) tally.bad.push(page);
    if (trouble !== undefined) tally.troubles.push({ path: files[index]?.path ?? '', reason: trouble });
  }
}

/** Gives a thread batch after batch until none is left. Rejects when the thread dies. */
async function keepBusy(
  worker: Worker,
  next: () => readonly RelationFile[],
  onChecks: (files: readonly RelationFile[], checks: readonly FileCheck[]) => void,
): Promise<void> {
  const died = once(worker, 'exit').then(() => {
    throw new Error('a thread that checks pages ended by itself');
  });
  // It also ends after its last batch, when nobody waits for it any more.
  died.catch(() => undefined);
  for (let batch = next(); batch.length > 0; batch = next()) {
    worker.postMessage(batch);
    const [checks] = (await Promise.race([once(worker, 'message'), died])) as [readonly FileCheck[]];
    onChecks(batch, checks);
  }
}

/**
 * Checks every page of the files, by several threads. Throws the signal's reason if it is aborted.
 *
 * @param onChecked called as the work progresses
 */
export async function checkFiles(
  data: WorkerData,
  files: readonly RelationFile[],
  signal: AbortSignal,
  onChecked: (files: number, bytes: number) => void,
): Promise<CopyCheck> {
  signal.throwIfAborted();
  const tally: CopyCheck = { files: 0, pages: 0, bytes: 0, bad: [], troubles: [] };
  let place = 0;
  const next = (): readonly RelationFile[] => files.slice(place, (place += batchFiles));
  const count = Math.min(availableParallelism(), mostThreads, Math.ceil(files.length / batchFiles));
  const workers = Array.from(
    { length: count },
    () => new Worker(new URL('worker.js', import.meta.url), { workerData: data }),
  );
  const endAll = (): void => {
    for (const worker of workers) void worker.terminate();
  };
  signal.addEventListener('abort', endAll, { once: true });
  try {
    await Promise.all(
      workers.map((worker) =>
        keepBusy(worker, next, (batch, checks) => {
          addChecks(tally, batch, checks);
          onChecked(tally.files, tally.bytes);
        }),
      ),
    );
  } catch (error) {
    // The signal ended this thread: that is no further error.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', endAll);
    endAll();
  }
  return tally;
}
