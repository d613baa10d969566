import { join } from 'node:path';
import { namesIfThere } from '../../system/durable.ts';
import { removeTree } from '../../system/files.ts';
import { isProcessAlive } from '../../system/processes.ts';
import type { Lane } from '../lane/lane.ts';
import type { Layout } from '../layout.ts';

function isDead(pid: string | undefined): boolean {
  return pid !== undefined && !isProcessAlive(Number(pid));
}

/** `PID.NAME`: unfinished copies, and directories of unpacked files. */
const copyName = /^(\d+)\./;
/** Small files that were being replaced: `.NAME.PID.tmp`. */
const replacementName = /^\..+\.(\d+)\.tmp$/;
/** A queue's own unfinished copy: `.PID.NAME.tmp`. */
const queueCopyName = /^\.(\d+)\..+\.tmp$/;

async function deadFilesIn(directory: string, shape: RegExp): Promise<readonly string[]> {
  const names = await namesIfThere(directory);
  return names.filter((name) => isDead(shape.exec(name)?.[1])).map((name) => join(directory, name));
}

async function deadCopies({ temporary, unpacked }: Layout): Promise<readonly string[]> {
  return [...(await deadFilesIn(temporary, copyName)), ...(await deadFilesIn(unpacked, copyName))];
}

/** Unfinished copies of processes that have ended: nothing depends on them. */
export async function removeDeadTemporaries(layout: Layout): Promise<void> {
  for (const path of await deadCopies(layout)) await removeTree(path);
}

/** The same, everywhere in l_archivedir. */
export async function findDeadTemporaries(
  layout: Layout,
  lanes: readonly Lane[],
): Promise<readonly string[]> {
  const found = [await deadCopies(layout), await deadFilesIn(layout.privateDirectory, replacementName)];
  for (const { queue } of lanes) found.push(await deadFilesIn(queue, queueCopyName));
  return found.flat();
}
