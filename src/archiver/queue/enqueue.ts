import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { fileNameOf } from '../../postgres/queued-name.ts';
import { sha256Of } from '../../system/digest.ts';
import { copyDurably, fsyncPath, linkDurably, systemErrorCode } from '../../system/durable.ts';
import { mkdir, removeFile } from '../../system/files.ts';
import type { Lane } from '../lane/lane.ts';
import type { WalFile } from '../wal/wal-file.ts';
import { type LocalCopy, type MadeCopy, requireUnchanged } from './local-copy.ts';
import { formsInQueue, type QueuedFile, queuedFile } from './queue.ts';
import {
  digestOfContent,
  findDamage,
  type FrameDeps,
  holdsBytesOf,
  requireFrameTools,
} from './queued-frame.ts';

async function ensureQueue(queue: string): Promise<void> {
  try {
    await mkdir(queue, { mode: 0o700 });
    await fsyncPath(dirname(queue));
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

/** A queue that was moved to another file system cannot share the copy: it gets one of its own. */
async function linkFromOtherFileSystem(copy: string, target: string): Promise<'linked' | 'exists'> {
  const own = join(dirname(target), `.${basename(copy)}.tmp`);
  try {
    await removeFile(own);
    await copyDurably(copy, own);
    return await linkDurably(own, target);
  } finally {
    await removeFile(own).catch(() => undefined);
  }
}

async function linkIntoQueue(copy: string, target: string): Promise<'linked' | 'exists'> {
  try {
    return await linkDurably(copy, target);
  } catch (error) {
    if (systemErrorCode(error) === 'EXDEV') return linkFromOtherFileSystem(copy, target);
    throw error;
  }
}

function conflict(
  queued: QueuedFile,
  standby: string,
  [theirs, ours]: readonly [theirs: string, ours: string],
): PitrError {
  return new PitrError(
    `the queue of standby "${standby}" holds a different file named ${fileNameOf(queued)}`,
    {
      detail: `queued: sha256 ${theirs}; to archive: sha256 ${ours}`,
      hint: `Nothing was replaced. To solve this, run cmd_archiver --abandon ${standby}, then make a new base backup on that standby.`,
    },
  );
}

/** Whether a queued frame has the content of a file; throws if it has another content. */
async function isFrameOf(
  deps: FrameDeps,
  source: WalFile,
  queued: QueuedFile,
  standby: string,
): Promise<boolean> {
  const tools = await requireFrameTools(deps, queued.path);
  const isSame = await holdsBytesOf(tools, queued.path, source.path);
  await requireUnchanged(source);
  if (isSame) return true;
  if ((await findDamage(tools, queued.path)) !== undefined) return false;
  const theirs = (await digestOfContent(tools, queued.path)) ?? 'unknown';
  throw conflict(queued, standby, [theirs, await sha256Of(source.path)]);
}

/** Throws if one of these forms of a file has another content. @returns whether one of them is whole */
async function isQueued(
  deps: FrameDeps,
  { source }: LocalCopy,
  forms: readonly QueuedFile[],
  standby: string,
): Promise<boolean> {
  let isWhole = false;
  for (const queued of forms) {
    if (queued.isFrame) {
      if (await isFrameOf(deps, source, queued, standby)) isWhole = true;
      continue;
    }
    const [ours, theirs] = await Promise.all([sha256Of(source.path), sha256Of(queued.path)]);
    await requireUnchanged(source);
    if (ours !== theirs) throw conflict(queued, standby, [theirs, ours]);
    isWhole = true;
  }
  return isWhole;
}

/**
 * Links a copy into the queue. Two processes may queue the same name in two forms at the same moment: each looks for the
 * other form once more after its own link, so that one of them sees both.
 */
async function linkBesideOthers(
  deps: FrameDeps,
  copy: LocalCopy,
  made: MadeCopy,
  { queue, name: standby }: Pick<Lane, 'queue' | 'name'>,
): Promise<void> {
  const { name } = copy.source;
  const target = queuedFile(queue, name, made.isFrame);
  if ((await linkIntoQueue(made.path, target.path)) === 'exists') {
    if (await isQueued(deps, copy, [target], standby)) {
      // The process that linked it may have died before the directory was flushed.
      await fsyncPath(queue);
      return;
    }
    throw new PitrError(`the queued file "${target.path}" is damaged`);
  }
  const others = (await formsInQueue(queue, name)).filter(({ isFrame }) => isFrame !== made.isFrame);
  // If they differ, both stay, and neither is sent: another call may have relied on ours already.
  await isQueued(deps, copy, others, standby);
}

async function addToQueue(
  deps: FrameDeps,
  copy: LocalCopy,
  lane: Pick<Lane, 'queue' | 'name'>,
): Promise<void> {
  const { queue, name: standby } = lane;
  await ensureQueue(queue);
  const forms = await formsInQueue(queue, copy.source.name);
  if (await isQueued(deps, copy, forms, standby)) {
    await fsyncPath(queue);
    return;
  }
  // A damaged frame is of no use, and its name is taken.
  const made = forms.some(({ isFrame }) => isFrame) ? await copy.plain() : await copy.made();
  await linkBesideOthers(deps, copy, made, lane);
}

/**
 * Puts a file into a standby's queue, complete and flushed. If the same contents exist there already, in whatever form, that
 * is fine; other contents are an error and never replaced.
 */
export async function enqueue(
  deps: FrameDeps,
  copy: LocalCopy,
  lane: Pick<Lane, 'queue' | 'name'>,
): Promise<void> {
  try {
    await addToQueue(deps, copy, lane).catch((error: unknown) => {
      // The lane may have delivered and removed the queued file while we compared it.
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      return addToQueue(deps, copy, lane);
    });
  } catch (error) {
    if (error instanceof PitrError) throw error;
    throw new PitrError(
      `cannot queue ${copy.source.name.text} for standby "${lane.name}" in "${lane.queue}"`,
      {
        detail: messageOf(error),
        hint: systemErrorCode(error) === 'ENOSPC' ? 'The file system of l_archivedir is full.' : undefined,
        cause: error,
      },
    );
  }
}
