import { removeTree } from '../../system/files.ts';
import type { ActionOptions, ArchiverDeps } from '../deps.ts';
import { lanesOf } from '../lane/lane.ts';
import { findDeadTemporaries } from '../queue/temporaries.ts';
import { requirePinnedDirectory } from '../wal/cluster.ts';

/** `--cleanup`: removes unfinished files of processes that have ended. The WAL in the queues is never touched. */
export async function cleanUp(deps: ArchiverDeps, options: ActionOptions): Promise<void> {
  const { layout, report } = deps;
  await requirePinnedDirectory(layout);
  const found = await findDeadTemporaries(layout, lanesOf(deps));
  for (const path of found) {
    if (!options.dryRun) await removeTree(path);
    report(`${options.dryRun ? 'Would remove' : 'Removed'} ${path}`);
  }
  if (found.length === 0) report('Nothing to clean up');
}
