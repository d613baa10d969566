/** A standby's queue: complete, flushed WAL files. A segment lies there under its own name, as a frame, or in both forms. */
import { opendir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, PitrError } from '../../errors.ts';
import {
  fileNameOf,
  frameSuffix,
  parseQueuedName,
  queuedAmong,
  type QueuedName,
} from '../../postgres/queued-name.ts';
import { parseWalName, type WalName } from '../../postgres/wal-name.ts';
import { exists, fsyncPath, sizeOf, systemErrorCode } from '../../system/durable.ts';
import { removeFile } from '../../system/files.ts';

/** A file as it lies in a queue. */
export interface QueuedFile extends QueuedName {
  readonly path: string;
}

/** The place of a file in this queue; whether there is one is another question. */
export function queuedFile(queue: string, name: WalName, isFrame: boolean): QueuedFile {
  return { name, isFrame, path: join(queue, fileNameOf({ name, isFrame })) };
}

/** The forms of this file that are there, the plain one first. */
export async function formsInQueue(queue: string, name: WalName): Promise<readonly QueuedFile[]> {
  const forms: QueuedFile[] = [];
  for (const isFrame of name.kind === 'segment' ? [false, true] : [false]) {
    const file = queuedFile(queue, name, isFrame);
    if (await exists(file.path)) forms.push(file);
  }
  return forms;
}

export async function isInQueue(queue: string, name: WalName): Promise<boolean> {
  return (await formsInQueue(queue, name)).length > 0;
}

function cannotLook(queue: string, cause: unknown): PitrError {
  return new PitrError(`cannot look into "${queue}"`, { detail: messageOf(cause), cause });
}

/** Reads no further than the first WAL file: a long backlog takes no more time. */
export async function isQueueEmpty(queue: string): Promise<boolean> {
  try {
    const directory = await opendir(queue);
    try {
      for (;;) {
        const entry = await directory.read();
        if (entry === null) return true;
        if (parseQueuedName(entry.name) !== undefined) return false;
      }
    } finally {
      await directory.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true;
    throw cannotLook(queue, error);
  }
}

async function fileNamesIn(queue: string): Promise<readonly string[]> {
  try {
    return await readdir(queue);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw cannotLook(queue, error);
  }
}

/** The name of the segment if this is a frame: only then it is parsed. */
function withoutSuffix(fileName: string): string {
  if (!fileName.endsWith(frameSuffix)) return fileName;
  return parseQueuedName(fileName)?.name.text ?? fileName;
}

/**
 * The waiting files, or the first `most` of them, in the order in which they are sent; each once, whatever its form. Files
 * that are no WAL are not ours and stay. For the rest of a long queue only bare names are kept, for a moment.
 */
export async function listQueue(queue: string, most = Infinity): Promise<readonly WalName[]> {
  // The order of `compareWalNames`.
  const found = (await fileNamesIn(queue)).map(withoutSuffix).sort();
  const names: WalName[] = [];
  for (let at = 0; at < found.length && names.length < most; at++) {
    if (found[at] === found[at - 1]) continue;
    const name = parseWalName(found[at] ?? '');
    if (name.kind !== 'not-wal') names.push(name);
  }
  return names;
}

/** All files of a queue, in the order in which they are sent. */
export async function filesInQueue(queue: string): Promise<readonly QueuedFile[]> {
  return queuedAmong(await fileNamesIn(queue)).map(({ name, isFrame }) => queuedFile(queue, name, isFrame));
}

/** The contents of one queue: WAL files, each counted once, and the bytes that they take on disk. */
export interface QueueUse {
  readonly files: number;
  readonly bytes: number;
}

/** Counts a queue. It stats every file: do not call this once per segment. */
export async function measureQueue(queue: string): Promise<QueueUse> {
  const files = await filesInQueue(queue);
  let bytes = 0;
  for (const { path } of files) bytes += await sizeOf(path);
  return { files: new Set(files.map(({ name }) => name.text)).size, bytes };
}

/**
 * Removes files from a queue, once another copy is certain.
 *
 * @returns the bytes that they took in this queue
 */
export async function removeFromQueue(queue: string, names: readonly WalName[]): Promise<number> {
  if (names.length === 0) return 0;
  let bytes = 0;
  for (const name of names) {
    for (const { path } of await formsInQueue(queue, name)) {
      bytes += await sizeOf(path);
      await removeFile(path);
    }
  }
  await fsyncPath(queue);
  return bytes;
}
