import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { exists, fsyncPath, systemErrorCode, writeDurably } from './durable.ts';

/** The space that the file and its spare occupy from the beginning: file systems allocate blocks of this size. */
const reservedBytes = 4096;

function spareOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.spare`);
}

/** Trailing spaces are harmless in JSON and in lines of words. */
function padded(content: string): Buffer {
  const bytes = Buffer.from(content.trimEnd(), 'utf8');
  const missing = Math.max(0, reservedBytes - 1 - bytes.length);
  return Buffer.concat([bytes, Buffer.alloc(missing, ' '), Buffer.from('\n')]);
}

function isDiskFull(error: unknown): boolean {
  const code = systemErrorCode(error instanceof Error ? error.cause : error) ?? systemErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Makes sure that there is a spare for a file that `replaceDurably` must be able to write on a full disk. */
export async function reserveSpare(path: string): Promise<void> {
  const spare = spareOf(path);
  if (await exists(spare)) return;
  // A process that was killed between its two renames left this behind.
  if (await exists(`${spare}.old`)) {
    await rename(`${spare}.old`, spare);
    return;
  }
  await writeDurably(spare, padded(''));
}

/** Writes into the space of the spare, gives it the file's name, and keeps the previous file as the next spare. */
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
 * Replaces a small text file as `writeDurably` does; on a full disk it uses space that was reserved before. A crash
 * leaves the old content or the new one.
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
  // The content is safe; only the next write may lack its space.
  await reserveSpare(path).catch(() => undefined);
}
