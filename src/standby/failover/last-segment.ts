import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { historyName, parseWalName } from '../../postgres/wal-name.ts';
import { exists, fsyncPath } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import { writeForServer } from '../server-modes.ts';
import type { DataDirectory } from '../server/data-directory.ts';

const ready = '.ready';

/**
 * Up to 9.4 a promoted server archives the segment in which the old timeline ended, unfinished, under a whole segment's
 * name. The old primary's whole segment of that name may come to the same archives: an archive that took the unfinished
 * one would refuse it. The new timeline's first segment begins with a copy of what is in it, so nobody needs it.
 */
export async function setAsideLastSegment(
  deps: StandbyDeps,
  directory: DataDirectory,
  newTimeline: number,
): Promise<void> {
  const status = join(directory.pgdata, directory.capabilities.walDirName, 'archive_status');
  const old = (await readdir(status))
    .filter((file) => file.endsWith(ready))
    .map((file) => parseWalName(file.slice(0, -ready.length)))
    .flatMap((name) => (name.kind === 'segment' && name.timeline < newTimeline ? [name.name] : []))
    .sort();
  const last = old.at(-1);
  if (last === undefined) return;
  await rename(join(status, `${last}${ready}`), join(status, `${last}.done`));
  await fsyncPath(status);
  deps.log.notice(`segment ${last}, in which the old timeline ended, is not archived from here`);
}

/**
 * The server marks its history file for archiving at the moment of the promotion only, and only if it archives then: one that
 * is told to by the failover configuration would leave its standbys waiting for ever on the old timeline.
 */
export async function archiveHistory(
  deps: StandbyDeps,
  { pgdata, capabilities }: DataDirectory,
  timeline: number,
): Promise<void> {
  const directory = join(pgdata, capabilities.walDirName);
  const history = historyName(timeline).name;
  const mark = (suffix: string) => join(directory, 'archive_status', `${history}${suffix}`);
  const isKnown = (await exists(mark(ready))) || (await exists(mark('.done')));
  if (isKnown || !(await exists(join(directory, history)))) return;
  await writeForServer(pgdata, mark(ready), '');
  deps.log.notice(`${history} is archived, so that standbys of this server follow it`);
}
