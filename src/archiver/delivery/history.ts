import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import type { Lane } from '../lane/lane.ts';

/**
 * Whether WAL was ever delivered to a name. It is the absence of a file that says yes: to remove one needs no room in
 * l_archivedir, and a lane that was begun by a version without the file counts as one with a history.
 */
export async function hasHistory({ undeliveredFile }: Lane): Promise<boolean> {
  return !(await exists(undeliveredFile));
}

/** `-I` begins a lane: only one of which there is no trace yet is known to have delivered nothing. */
export async function beginHistory({ undeliveredFile, queue, lockFile, stateFile }: Lane): Promise<void> {
  for (const trace of [undeliveredFile, queue, lockFile, stateFile]) {
    if (await exists(trace)) return;
  }
  await writeDurably(undeliveredFile, '');
}

/** To be called before the first file gets its name at the standby: killed in between, it counts as delivered. */
export async function noteDelivery(lane: Lane): Promise<void> {
  if (!(await hasHistory(lane))) await removeDurably(lane.undeliveredFile);
}
