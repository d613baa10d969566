import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import { lockFileOf, queueOf, stateFileOf, undeliveredFileOf, type Layout } from '../layout.ts';

/**
 * Whether WAL was ever delivered to a name. It is the absence of a file that says yes: to remove one needs no room in
 * l_archivedir, and a lane that was begun by a version without the file counts as one with a history.
 */
export async function hasHistory(layout: Layout, standby: string): Promise<boolean> {
  return !(await exists(undeliveredFileOf(layout, standby)));
}

/** `-I` begins a lane: only one of which there is no trace yet is known to have delivered nothing. */
export async function beginHistory(layout: Layout, standby: string): Promise<void> {
  for (const placeOf of [undeliveredFileOf, queueOf, lockFileOf, stateFileOf]) {
    if (await exists(placeOf(layout, standby))) return;
  }
  await writeDurably(undeliveredFileOf(layout, standby), '');
}

/** To be called before the first file gets its name at the standby: killed in between, it counts as delivered. */
export async function noteDelivery(layout: Layout, standby: string): Promise<void> {
  if (!(await hasHistory(layout, standby))) await removeDurably(undeliveredFileOf(layout, standby));
}
