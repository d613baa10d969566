/**
 * Functions that write files, for all other folders: lint allows no other module to import them from node:fs. None of
 * these flushes: a file that must outlive a crash goes through `durable.ts`, or its caller flushes the directory.
 */
import { constants } from 'node:fs';
import { appendFile, chmod, copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../errors.ts';
import { systemErrorCode } from './durable.ts';

export { utimesSync } from 'node:fs';
export { chmod, mkdir, rename, rmdir, symlink, unlink, utimes } from 'node:fs/promises';

/** It is no error if the file does not exist. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Returns false if another process has removed the file or its directory: --cleanup, or who withdraws markers. */
export async function moveIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Removes a file, or a directory with its contents. Another process may be putting something there at this moment. */
export async function removeTree(path: string | Buffer): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

/** A file that no other user can read. */
export async function writePrivately(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
}

/** One write at the end of a file that no other user can read. */
export async function appendPrivately(path: string, content: string): Promise<void> {
  await appendFile(path, content, { mode: 0o600 });
}

/** Replaces a file that no other user can read, in one step and without a flush: after a crash of the host it may be empty. */
export async function replacePrivately(path: string, content: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    await writeFile(temporary, content, { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    await removeFile(temporary).catch(() => undefined);
    throw new PitrError(`cannot write "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** Whether the file system can copy this file without taking space, by sharing its blocks (reflink). Leaves nothing. */
export async function clones(source: string, probe: string): Promise<boolean> {
  try {
    await copyFile(source, probe, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  } finally {
    await removeFile(probe);
  }
}

/**
 * Replaces a file that every user may read, such as one for node_exporter, in one step: no reader sees half of it. The
 * temporary name ends otherwise, so that a reader of all `*.prom` files does not take it.
 */
export async function writePublicly(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content, { mode: 0o644, flag: 'wx' });
    // Whatever the umask is.
    await chmod(temporary, 0o644);
    await rename(temporary, path);
  } catch (error) {
    await removeFile(temporary).catch(() => undefined);
    throw new PitrError(`cannot write "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** A directory that no other user can enter, with those above it. */
export async function makePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** A new directory that no other user can enter. The caller removes it. */
export function makeTemporaryDirectory(prefix: string): Promise<string> {
  return mkdtemp(join(tmpdir(), prefix));
}

/** A directory that no other user can enter, for as long as `use` runs. */
export async function withTemporaryDirectory<T>(
  prefix: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await makeTemporaryDirectory(prefix);
  try {
    return await use(directory);
  } finally {
    await removeTree(directory);
  }
}
