import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inMegabytes } from '../../megabytes.ts';
import type { ArchiverDeps } from '../deps.ts';
import { measureQueue } from './queue.ts';

/** The queues of standbys that are not in `slaves` any more: nothing sends them, and nothing removes them. */
export async function findLeftovers({ layout, settings }: ArchiverDeps) {
  const known = new Set(settings.standbys.map(({ name }) => name));
  const entries = await readdir(layout.root, { withFileTypes: true }).catch(() => []);
  // A link leads to a queue that was moved to another file system.
  const strangers = entries.filter(
    (entry) =>
      (entry.isDirectory() || entry.isSymbolicLink()) &&
      !entry.name.startsWith('.') &&
      !known.has(entry.name),
  );
  const measured = strangers.map(async ({ name }) => {
    const directory = join(layout.root, name);
    // A directory that we cannot read, such as lost+found, is not ours.
    const use = await measureQueue(directory).catch(() => ({ files: 0, bytes: 0 }));
    return { directory, ...use };
  });
  return (await Promise.all(measured)).filter(({ files }) => files > 0);
}

/**
 * Reports what l_archivedir holds for standbys that were removed from the list. Nothing is removed, because it may
 * still be needed.
 */
export async function mentionLeftoverQueues(deps: ArchiverDeps): Promise<void> {
  for (const { directory, files, bytes } of await findLeftovers(deps)) {
    deps.log.notice(
      `${directory} is the queue of no standby in slaves: ${files} WAL files, ${inMegabytes(bytes)}; remove it if these files are not needed any more`,
    );
  }
}
