import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import type { WalName } from '../../postgres/wal-name.ts';
import { exists, removeDurably, systemErrorCode } from '../../system/durable.ts';
import { makePrivateDirectory, removeTree } from '../../system/files.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { readCluster, readPinnedIdentifier } from '../wal/cluster.ts';
import { walDirectory } from '../wal/ready-files.ts';
import { checkWalFile, walFileAt } from '../wal/wal-file.ts';
import { enqueue } from './enqueue.ts';
import { createCopier, withLocalCopy } from './local-copy.ts';
import { queuedFile } from './queue.ts';

type QueueOf = Pick<Lane, 'queue' | 'name'>;

/**
 * PostgreSQL gives a file that it recycles the name of a later segment: one that still has its name is what was archived.
 *
 * @returns false if the frame turned out to be whole: it may be the only copy, and stays
 */
async function replace(deps: ArchiverDeps, lane: QueueOf, name: WalName): Promise<boolean> {
  const { pgdata } = deps.settings;
  const cluster = await readCluster(pgdata);
  if (cluster.systemIdentifier !== (await readPinnedIdentifier(deps.layout)))
    throw new PitrError(`"${pgdata}" is another cluster`);
  // The receiver writes a segment bit by bit under its final name: its first page is good long before its end is there.
  if (cluster.isInRecovery)
    throw new PitrError('this server is in recovery, and a segment in its pg_wal may be unfinished');
  const file = await walFileAt(join(await walDirectory(pgdata), name.text), name);
  await checkWalFile(file, cluster, pgdata);
  // Queues share a frame: their lanes may do the same at this moment.
  const temporary = join(deps.layout.unpacked, `${deps.pid}.${deps.nonce()}`);
  try {
    await makePrivateDirectory(temporary);
    const copier = { ...createCopier(deps), temporary, compress: undefined };
    await withLocalCopy(copier, file, (copy) => enqueue(deps, copy, lane));
  } finally {
    await removeTree(temporary).catch(() => undefined);
  }
  if (!(await exists(queuedFile(lane.queue, name, false).path))) return false;
  await removeDurably(queuedFile(lane.queue, name, true).path);
  return true;
}

/**
 * Puts the segment itself in place of its damaged frame in a queue, if pg_wal still has it.
 *
 * @returns why it could not be done; undefined if the queue has a whole file now
 */
export async function replaceFromPgWal(
  deps: ArchiverDeps,
  lane: QueueOf,
  name: WalName,
): Promise<string | undefined> {
  const { path } = queuedFile(lane.queue, name, true);
  try {
    if (await replace(deps, lane, name))
      deps.log.warning(`the queued file "${path}" was damaged: the segment was taken from pg_wal again`);
    return undefined;
  } catch (error) {
    if (!(error instanceof PitrError) && systemErrorCode(error) === undefined) throw error;
    const detail = error instanceof PitrError ? error.detail : undefined;
    return detail === undefined ? messageOf(error) : `${messageOf(error)} (${detail})`;
  }
}
