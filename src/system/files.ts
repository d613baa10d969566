/**
 * Functions that write files, for all other folders: lint allows no other module to import them from node:fs. None of
 * these flushes: a file that must outlive a crash goes through `durable.ts`, or its caller flushes the directory.
 */
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export { chmod, mkdir, rename, rmdir, symlink, unlink, utimes } from 'node:fs/promises';

/** It is no error if the file does not exist. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
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

/** A directory that no other user can enter, for as long as `use` runs. */
export async function withTemporaryDirectory<T>(
  prefix: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  try {
    return await use(directory);
  } finally {
    await removeTree(directory);
  }
}
