import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { removeDurably, systemErrorCode } from '../../system/durable.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { readCluster, readPinnedIdentifier } from '../wal/cluster.ts';
import { walDirectory } from '../wal/ready-files.ts';
import { checkWalFile, walFileAt } from '../wal/wal-file.ts';
import { enqueue } from './enqueue.ts';
import { createCopier, withLocalCopy } from './local-copy.ts';
import { queuedFile } from './queue.ts';

type QueueOf = Pick<Lane, 'queue' | 'name'>;

/** PostgreSQL gives a file that it recycles the name of a later segment: one that still has its name is what was archived. */
async function replace(deps: ArchiverDeps, lane: QueueOf, name: WalName): Promise<void> {
  const { pgdata } = deps.settings;
  const cluster = await readCluster(pgdata);
  if (cluster.systemIdentifier !== (await readPinnedIdentifier(deps.layout)))
    throw new PitrError(`"${pgdata}" is another cluster`);
  const file = await walFileAt(join(await walDirectory(pgdata), name.text), name);
  await checkWalFile(file, cluster, pgdata);
  const copier = { ...createCopier(deps), compress: undefined };
  await withLocalCopy(copier, file, (copy) => enqueue(deps, copy, lane));
  await removeDurably(queuedFile(lane.queue, name, true).path);
}

/** Puts the segment itself beside its damaged frame in a queue, if pg_wal still has it. */
export async function isReplacedFromPgWal(
  deps: ArchiverDeps,
  lane: QueueOf,
  name: WalName,
): Promise<boolean> {
  const { path } = queuedFile(lane.queue, name, true);
  try {
    await replace(deps, lane, name);
    deps.log.warning(`the queued file "${path}" was damaged: the segment was taken from pg_wal again`);
    return true;
  } catch (error) {
    if (!(error instanceof PitrError) && systemErrorCode(error) === undefined) throw error;
    deps.log.debug(`"${path}" cannot be replaced from pg_wal: ${messageOf(error)}`);
    return false;
  }
}
