import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { exists, fsyncPath, systemErrorCode, writeDurably } from './durable.ts';

/** What the file and its spare take of the disk, from the beginning: file systems give room by blocks of this size. */
const reservedBytes = 4096;

function spareOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.spare`);
}

/** JSON and lines of words bear spaces at their end. */
function padded(content: string): Buffer {
  const bytes = Buffer.from(content.trimEnd(), 'utf8');
  const missing = Math.max(0, reservedBytes - 1 - bytes.length);
  return Buffer.concat([bytes, Buffer.alloc(missing, ' '), Buffer.from('\n')]);
}

function isDiskFull(error: unknown): boolean {
  const code = systemErrorCode(error instanceof Error ? error.cause : error) ?? systemErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Sees that there is a spare for a file that `replaceDurably` is to write on a full disk, too. */
export async function reserveSpare(path: string): Promise<void> {
  const spare = spareOf(path);
  if (await exists(spare)) return;
  // Left by one who was killed between his two renames.
  if (await exists(`${spare}.old`)) {
    await rename(`${spare}.old`, spare);
    return;
  }
  await writeDurably(spare, padded(''));
}

/** Writes into the room that the spare has, gives it the file's name, and keeps the file that was as the next spare. */
async function swapWithSpare(path: string, content: Buffer): Promise<void> {
  const spare = spareOf(path);
  const old = `${spare}.old`;
  const handle = await open(spare, 'r+');
  try {
    await handle.write(content, 0, content.length, 0);
    await handle.truncate(content.length);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rm(old, { force: true });
  const hadFile = await exists(path);
  if (hadFile) await link(path, old);
  await rename(spare, path);
  if (hadFile) await rename(old, spare);
  await fsyncPath(dirname(path));
}

/**
 * Replaces a small file of text as `writeDurably` does; where the disk is full, in room that was reserved before. A crash leaves
 * the old content or the new one.
 */
export async function replaceDurably(path: string, content: string): Promise<void> {
  const bytes = padded(content);
  try {
    await writeDurably(path, bytes);
  } catch (error) {
    if (!isDiskFull(error) || bytes.length > reservedBytes) throw error;
    await swapWithSpare(path, bytes).catch(() => {
      throw error;
    });
    return;
  }
  // The content is safe; only the next write may lack its room.
  await reserveSpare(path).catch(() => undefined);
}
