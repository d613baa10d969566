import { opendir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import { parseWalName, type WalName } from '../../postgres/wal-name.ts';
import { sha256Of } from '../../system/digest.ts';
import { copyDurably, fsyncPath, linkDurably, sizeOf, systemErrorCode } from '../../system/durable.ts';
import { mkdir, removeFile } from '../../system/files.ts';
import type { Lane } from '../lane/lane.ts';
import { identityOf, isUnchanged, type WalFile } from '../wal/wal-file.ts';

/** One complete, flushed copy of a file, made on first use; every queue that needs the file gets a hard link. */
export interface LocalCopy {
  readonly path: () => Promise<string>;
}

async function copyUnchanged(file: WalFile, target: string): Promise<string> {
  await removeFile(target);
  await copyDurably(file.path, target);
  if (isUnchanged(await identityOf(file.path), file.identity)) return target;
  throw new PitrError(`"${file.path}" changed while it was copied`);
}

/** Passes `use` a copy in the directory of temporary files, and removes it afterwards: the links stay. */
export async function withLocalCopy<T>(
  file: WalFile,
  temporary: string,
  pid: number,
  use: (copy: LocalCopy) => Promise<T>,
): Promise<T> {
  const target = join(temporary, `${pid}.${file.name.text}`);
  let made: Promise<string> | undefined;
  try {
    return await use({ path: () => (made ??= copyUnchanged(file, target)) });
  } finally {
    if (made !== undefined) await removeFile(target).catch(() => undefined);
  }
}

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

async function requireSameBytes(copy: string, queued: string, standby: string): Promise<void> {
  const [ours, theirs] = await Promise.all([sha256Of(copy), sha256Of(queued)]);
  if (ours === theirs) return;
  throw new PitrError(`the queue of standby "${standby}" holds a different file named ${basename(queued)}`, {
    detail: `queued: sha256 ${theirs}; to archive: sha256 ${ours}`,
    hint: `Nothing was replaced. To solve this, run cmd_archiver --abandon ${standby}, then make a new base backup on that standby.`,
  });
}

/**
 * Puts a file into a standby's queue, complete and flushed, under its own name. If the same contents exist there
 * already, that is fine; other contents are an error and never replaced.
 */
export async function enqueue(
  copy: LocalCopy,
  name: WalName,
  { queue, name: standby }: Pick<Lane, 'queue' | 'name'>,
): Promise<void> {
  try {
    await ensureQueue(queue);
    const path = await copy.path();
    const target = join(queue, name.text);
    if ((await linkIntoQueue(path, target)) === 'linked') return;
    await requireSameBytes(path, target, standby);
    // The process that linked it may have died before the directory was flushed.
    await fsyncPath(queue);
  } catch (error) {
    if (error instanceof PitrError) throw error;
    throw new PitrError(`cannot queue ${name.text} for standby "${standby}" in "${queue}"`, {
      detail: messageOf(error),
      hint: systemErrorCode(error) === 'ENOSPC' ? 'The file system of l_archivedir is full.' : undefined,
      cause: error,
    });
  }
}

/** Reads no further than the first WAL file: a long backlog takes no more time. */
export async function isQueueEmpty(queue: string): Promise<boolean> {
  try {
    const directory = await opendir(queue);
    try {
      for (;;) {
        const entry = await directory.read();
        if (entry === null) return true;
        if (parseWalName(entry.name).kind !== 'not-wal') return false;
      }
    } finally {
      await directory.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true;
    throw new PitrError(`cannot look into "${queue}"`, { detail: messageOf(error), cause: error });
  }
}

/**
 * The waiting files, or the first `most` of them, in the order in which they are sent. Files that are no WAL are not
 * ours and stay. For the rest of a long queue only bare names are kept, for a moment.
 */
export async function listQueue(queue: string, most = Infinity): Promise<readonly WalName[]> {
  try {
    // The order of `compareWalNames`.
    const found = (await readdir(queue)).sort();
    const names: WalName[] = [];
    for (let at = 0; at < found.length && names.length < most; at++) {
      const name = parseWalName(found[at] ?? '');
      if (name.kind !== 'not-wal') names.push(name);
    }
    return names;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new PitrError(`cannot look into "${queue}"`, { detail: messageOf(error), cause: error });
  }
}

/** The contents of one queue. */
export interface QueueUse {
  readonly files: number;
  readonly bytes: number;
}

/** Counts a queue. It stats every file: do not call this once per segment. */
export async function measureQueue(queue: string): Promise<QueueUse> {
  const names = await listQueue(queue);
  let bytes = 0;
  for (const { text: name } of names) bytes += await sizeOf(join(queue, name));
  return { files: names.length, bytes };
}

/** Removes files from a queue, once another copy is certain. */
export async function removeFromQueue(queue: string, names: readonly WalName[]): Promise<void> {
  if (names.length === 0) return;
  for (const { text: name } of names) await removeFile(join(queue, name));
  await fsyncPath(queue);
}
