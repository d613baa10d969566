import { join } from 'node:path';
import type { WalName } from '../../postgres/wal-name.ts';
import { sendBatch, type Batch, type Delivery } from '../delivery/delivery.ts';
import type { Trouble } from '../delivery/trouble.ts';
import type { ArchiverDeps } from '../deps.ts';
import { listQueue, removeFromQueue } from '../queue/queue.ts';
import { walFileAt, type WalFile } from '../wal/wal-file.ts';
import type { Lane } from './lane.ts';

/** The limits for one rsync, in files and bytes: enough to reach the link's speed, few enough to stop in time. */
const batchFiles = 256;
const batchBytes = 128 * 1024 * 1024;

/** The first files of the list that make one batch; at least one. */
export async function nextBatch(directory: string, names: readonly WalName[]): Promise<Batch> {
  const files: WalFile[] = [];
  let bytes = 0;
  for (const name of names.slice(0, batchFiles)) {
    const file = await walFileAt(join(directory, name.name), name);
    bytes += Number(file.identity.size);
    if (files.length > 0 && bytes > batchBytes) break;
    files.push(file);
  }
  return { directory, files };
}

export interface Pace {
  /** Whether another batch may begin. */
  readonly mayContinue: () => Promise<boolean>;
  /** The time limit of one transfer, in milliseconds. */
  readonly transferLimitMs: (bytes: number) => number;
}

export interface DrainResult {
  readonly sent: number;
  readonly isEmpty: boolean;
  readonly trouble: Trouble | undefined;
}

export function bytesOf({ files }: Batch): number {
  return files.reduce((sum, { identity }) => sum + Number(identity.size), 0);
}

/** Sends what the queue holds, oldest first, and removes what the standby has secured. */
export async function drainQueue(
  deps: ArchiverDeps,
  { queue }: Lane,
  delivery: Delivery,
  pace: Pace,
): Promise<DrainResult> {
  let names = await listQueue(queue);
  let sent = 0;
  while (names.length > 0) {
    if (!(await pace.mayContinue())) return { sent, isEmpty: false, trouble: undefined };
    const batch = await nextBatch(queue, names);
    const result = await sendBatch(deps, delivery, batch, pace.transferLimitMs(bytesOf(batch)));
    await removeFromQueue(
      queue,
      result.delivered.map(({ name }) => name),
    );
    sent += result.delivered.length;
    if (result.trouble !== undefined) return { sent, isEmpty: false, trouble: result.trouble };
    // The directory is listed again only when the list is used up: another process may have queued more meanwhile.
    names = names.slice(batch.files.length);
    if (names.length === 0) names = await listQueue(queue);
  }
  return { sent, isEmpty: true, trouble: undefined };
}

/** The names of the first batch from this queue. */
export async function firstNames({ queue }: Lane): Promise<readonly string[]> {
  return (await listQueue(queue, batchFiles)).map(({ name }) => name);
}
