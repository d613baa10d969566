import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import type { Lane } from '../lane/lane.ts';

/**
 * Whether WAL was ever delivered to a name. The absence of a file means yes: removing a file needs no space in
 * l_archivedir, and a lane that an older version began, without the file, counts as one with a history.
 */
export async function hasHistory({ undeliveredFile }: Lane): Promise<boolean> {
  return !(await exists(undeliveredFile));
}

/** `-I` begins a lane. Only a lane without any trace is known to have delivered nothing. */
export async function beginHistory({ undeliveredFile, queue, lockFile, stateFile }: Lane): Promise<void> {
  for (const trace of [undeliveredFile, queue, lockFile, stateFile]) {
    if (await exists(trace)) return;
  }
  await writeDurably(undeliveredFile, '');
}

/**
 * Call this before the first file gets its name at the standby. If the process is killed in between, the lane counts
 * as delivered.
 */
export async function noteDelivery(lane: Lane): Promise<void> {
  if (!(await hasHistory(lane))) await removeDurably(lane.undeliveredFile);
}
