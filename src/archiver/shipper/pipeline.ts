import { commitBatch, transferBatch, type Batch, type BatchResult, type Delivery } from '../delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Trouble } from '../trouble.ts';

/** Where batches come from, and who is told what became of them. */
export interface BatchSource {
  /** The next batch; undefined when there is nothing to send now. */
  readonly next: () => Promise<Batch | undefined>;
  /** The transfer ended, well or not: from here on no process of ours reads the files. */
  readonly transferred: (batch: Batch, tookMs: number) => void;
  readonly committed: (batch: Batch, result: BatchResult) => Promise<void>;
  readonly limitMs: (batch: Batch) => number;
}

async function commitAndTell(
  delivery: Delivery,
  source: BatchSource,
  batch: Batch,
): Promise<Trouble | undefined> {
  const result = await commitBatch(delivery, batch);
  await source.committed(batch, result);
  return result.trouble;
}

/**
 * Sends batch after batch; while the standby makes one safe, the next one travels. Nothing is reported as delivered before
 * the standby's own word for it.
 *
 * @returns why it stopped before the source was empty
 */
export async function sendBatches(
  deps: ArchiverDeps,
  delivery: Delivery,
  source: BatchSource,
): Promise<Trouble | undefined> {
  let committing: Promise<Trouble | undefined> | undefined;
  for (;;) {
    const batch = await source.next();
    if (batch === undefined) {
      if (committing === undefined) return undefined;
      const trouble = await committing;
      committing = undefined;
      if (trouble !== undefined) return trouble;
      continue;
    }
    const began = deps.now();
    const trouble = await transferBatch(deps, delivery, batch, source.limitMs(batch));
    source.transferred(batch, deps.now() - began);
    const earlier = await committing;
    if (earlier !== undefined || trouble !== undefined) return earlier ?? trouble;
    committing = commitAndTell(delivery, source, batch);
    // It is awaited after the next transfer: until then a failure must not count as unhandled.
    committing.catch(() => undefined);
  }
}
