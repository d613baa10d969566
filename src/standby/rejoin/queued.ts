import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { queuedAmong } from '../../postgres/queued-name.ts';
import { exists } from '../../system/durable.ts';
import type { StandbyDeps } from '../deps.ts';
import { layoutOf } from '../follow/end-of-wal.ts';
import type { Lineage, OwnPlace } from '../follow/lineage.ts';
import { readArchiverPart } from '../host/archiver-part.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { destinationOf, type Unsent } from './unsent.ts';

/** WAL in nobody's history that only the queues of this host's cmd_archiver have: pg_wal has it no more. */
export interface OnlyQueued {
  /** In order. */
  readonly names: readonly string[];
  readonly queues: readonly string[];
}

/** @param unsent what is offered to the new primary */
export async function observeOnlyQueued(
  deps: StandbyDeps,
  directory: DataDirectory,
  own: OwnPlace,
  there: Lineage,
  unsent: readonly Unsent[],
): Promise<OnlyQueued | undefined> {
  const part = await readArchiverPart(deps);
  if (part.kind !== 'ready') return undefined;
  const { l_archivedir, standbys } = part.settings;
  const { segmentSize } = layoutOf(directory);
  const offered = new Set(unsent.map(({ name }) => name));
  const names = new Set<string>();
  const queues = new Set<string>();
  for (const standby of standbys) {
    const queue = join(l_archivedir, standby.name);
    if (!(await exists(queue))) continue;
    const files = await readdir(queue).catch((error: unknown) => {
      deps.log.warning(`cannot look for WAL in "${queue}": ${messageOf(error)}`);
      return [];
    });
    for (const { name } of queuedAmong(files)) {
      if (name.kind !== 'segment' || offered.has(name.text)) continue;
      if (destinationOf(name, own, there, segmentSize) !== 'diverged') continue;
      names.add(name.text);
      queues.add(queue);
    }
  }
  return names.size === 0 ? undefined : { names: [...names].sort(), queues: [...queues] };
}

export function describeOnlyQueued({ names, queues }: OnlyQueued): string {
  const [first = '', last = first] = [names[0], names.at(-1)];
  const which = names.length === 1 ? first : `${names.length} segments of it from ${first} to ${last}`;
  return `Only in ${queues.join(' and ')}: ${which}; copy what you need, because cmd_archiver removes it once this host is the primary again`;
}
