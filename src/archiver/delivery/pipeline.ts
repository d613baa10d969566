import type { ArchiverDeps } from '../deps.ts';
import { type Batch, type BatchResult, commitBatch, type Delivery, transferBatch } from './delivery.ts';
import type { Trouble } from './trouble.ts';

/** The source of batches, which also learns their outcome. */
export interface BatchSource {
  /** The next batch; undefined if there is nothing to send now. */
  readonly next: () => Promise<Batch | undefined>;
  /**
   * The transfer ended, well or not: from here on no process of ours reads the files.
   *
   * @param tookMs undefined if that says nothing about the link's speed, or if it ended badly
   */
  readonly transferred: (batch: Batch, tookMs: number | undefined) => void;
  readonly committed: (batch: Batch, result: BatchResult) => Promise<void>;
  readonly limitMs: (batch: Batch) => number;
  /** How many batches may travel at once now. */
  readonly width: () => number;
}

/** One batch on its way, until the standby has answered. */
interface Shipping {
  /** Ends with the transfer, whatever happens then. */
  readonly moved: Promise<unknown>;
  readonly ended: Promise<Trouble | undefined>;
  isMoved: boolean;
  /** No new batch begins then. */
  hasFailed: boolean;
}

async function move(
  deps: ArchiverDeps,
  delivery: Delivery,
  source: BatchSource,
  batch: Batch,
): Promise<Trouble | undefined> {
  const began = deps.monotonicMs();
  let tookMs: number | undefined;
  try {
    const { trouble, isTelling } = await transferBatch(deps, delivery, batch, source.limitMs(batch));
    if (trouble === undefined && isTelling) tookMs = deps.monotonicMs() - began;
    return trouble;
  } finally {
    source.transferred(batch, tookMs);
  }
}

/** Commits are made in the order in which the batches left: no file gets its name before an older one. */
function ship(
  deps: ArchiverDeps,
  delivery: Delivery,
  source: BatchSource,
  batch: Batch,
  earlier: Promise<Trouble | undefined>,
): Shipping {
  const transfer = move(deps, delivery, source, batch);
  const finish = async (): Promise<Trouble | undefined> => {
    const trouble = await transfer;
    const before = await earlier;
    if (before !== undefined || trouble !== undefined) return before ?? trouble;
    const result = await commitBatch(delivery, batch);
    await source.committed(batch, result);
    return result.trouble;
  };
  const ended = finish();
  const shipping: Shipping = {
    moved: Promise.allSettled([transfer]),
    ended,
    isMoved: false,
    hasFailed: false,
  };
  const noteFailure = (): void => {
    shipping.hasFailed = true;
  };
  for (const part of [transfer, ended]) {
    // It may be awaited later: until then a failure must not count as unhandled.
    part.then((trouble) => {
      if (trouble !== undefined) noteFailure();
    }, noteFailure);
  }
  void shipping.moved.then(() => (shipping.isMoved = true));
  return shipping;
}

/** The outcome of the oldest batch. Before trouble is reported, nothing may be travelling any more. */
async function endOfOldest(under: readonly Shipping[]): Promise<Trouble | undefined> {
  let isWell = false;
  try {
    const trouble = await under[0]?.ended;
    isWell = trouble === undefined;
    return trouble;
  } finally {
    if (!isWell) await Promise.all(under.map(({ moved }) => moved));
  }
}

/**
 * Sends batch after batch, several at once; while the standby secures one, the next ones travel. Nothing is reported
 * as delivered before the standby's own confirmation, and nothing travels any more when this ends.
 *
 * @returns the reason why it stopped before the source was empty
 */
export async function sendBatches(
  deps: ArchiverDeps,
  delivery: Delivery,
  source: BatchSource,
): Promise<Trouble | undefined> {
  let under: readonly Shipping[] = [];
  let last: Promise<Trouble | undefined> = Promise.resolve(undefined);
  for (;;) {
    const travelling = under.filter(({ isMoved }) => !isMoved);
    const mayBegin = travelling.length < source.width() && !under.some(({ hasFailed }) => hasFailed);
    const batch = mayBegin ? await source.next() : undefined;
    if (batch !== undefined) {
      const shipping = ship(deps, delivery, source, batch, last);
      last = shipping.ended;
      under = [...under, shipping];
      continue;
    }
    const [oldest] = under;
    if (oldest === undefined) return undefined;
    const isEnded = await Promise.race([
      ...travelling.map(({ moved }) => moved.then(() => false)),
      Promise.allSettled([oldest.ended]).then(() => true),
    ]);
    if (!isEnded) continue;
    const trouble = await endOfOldest(under);
    if (trouble !== undefined) return trouble;
    under = under.slice(1);
  }
}
