import { inMegabytes } from '../../megabytes.ts';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseWalName } from '../../postgres/wal-name.ts';
import type { ArchiverDeps } from '../deps.ts';

/** A queue whose standby is not in `slaves` any more: nothing sends it, and nothing removes it. */
interface LeftoverQueue {
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
}

async function measure(directory: string): Promise<LeftoverQueue> {
  // Directories that we cannot read, such as lost+found, are not ours.
  const names = await readdir(directory).catch((): string[] => []);
  const sizes = await Promise.all(
    names
      .filter((name) => parseWalName(name).kind !== 'not-wal')
      .map((name) =>
        stat(join(directory, name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  return { directory, files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

async function findLeftovers({ layout, settings }: ArchiverDeps): Promise<readonly LeftoverQueue[]> {
  const known = new Set(settings.standbys.map(({ name }) => name));
  const entries = await readdir(layout.root, { withFileTypes: true }).catch(() => []);
  const strangers = entries.filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith('.') && !known.has(entry.name),
  );
  const measured = await Promise.all(strangers.map(({ name }) => measure(join(layout.root, name))));
  return measured.filter(({ files }) => files > 0);
}

/**
 * Reports what l_archivedir holds for standbys that were removed from the list. Nothing is removed, because it may
 * still be needed.
 */
export async function mentionLeftoverQueues(deps: ArchiverDeps): Promise<void> {
  for (const { directory, files, bytes } of await findLeftovers(deps)) {
    deps.log.notice(
      `${directory} is the queue of no standby in slaves: ${files} WAL files, ${inMegabytes(bytes)}; remove it if nobody needs them`,
    );
  }
}
