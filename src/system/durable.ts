import { constants } from 'node:fs';
import {
  access,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../errors.ts';
import { letsOthersWrite, octalMode } from './file-modes.ts';

/** The code of a system error (`ENOENT`, `ENOSPC`, …), or undefined for any other error. */
export function systemErrorCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string'
    ? thrown.code
    : undefined;
}

/** Flushes a file's content, or a directory's entries, to the disk. */
export async function fsyncPath(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The content of a file, or undefined if it does not exist. Any other obstacle is an error. */
export async function readIfExists(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw new PitrError(`cannot read "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** The names in a directory; none if it does not exist, or another process has removed it. */
export async function namesIfThere(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return false;
    throw new PitrError(`cannot look at "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** In bytes; 0 for a file that does not exist, or cannot be looked at. */
export async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.size ?? 0;
}

/**
 * Replaces a small file such that a crash leaves either the old content or the new one: temporary file in the same
 * directory, flush, rename, flush of the directory.
 */
export async function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await rm(temporary, { force: true });
    const handle = await open(temporary, 'wx', mode);
    try {
      // The caller's umask may remove permissions that are wanted here.
      if (mode !== 0o600) await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await fsyncPath(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new PitrError(`cannot write "${path}"`, { detail: messageOf(error), cause: error });
  }
}

/** Copies to a new file (a reflink if the file system supports that) and flushes it. The target must not exist. */
export async function copyDurably(source: string, target: string): Promise<void> {
  await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await fsyncPath(target);
}

/**
 * Gives a complete, flushed file its final name, never replaces another file, and flushes the directory. `exists`
 * means that the name is taken and nothing was done: compare the contents.
 */
export async function linkDurably(source: string, target: string): Promise<'linked' | 'exists'> {
  try {
    await link(source, target);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return 'exists';
    throw error;
  }
  await fsyncPath(dirname(target));
  return 'linked';
}

/** Removes a file and flushes its directory; a file that does not exist is no error. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await fsyncPath(dirname(path));
}

function cannotMake(path: string, cause: unknown): PitrError {
  return new PitrError(`cannot make directory "${path}"`, {
    detail: messageOf(cause),
    hint: `Make it yourself, owned by the user who runs this program: install -d -m 0700 -o USER ${path}`,
    cause,
  });
}

/** The path itself or, if it does not exist, the nearest existing one above it. */
export async function nearestExisting(path: string): Promise<string> {
  return (await exists(path)) ? path : nearestExisting(dirname(path));
}

/** Refuses a path that `ensureDirectory` could not make, without making anything. */
export async function requireMakeable(path: string): Promise<void> {
  const above = await nearestExisting(dirname(path));
  try {
    await access(`${above}/.`, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw cannotMake(path, error);
  }
}

/** Makes a directory of ours (0700, with parents) if it does not exist. Refuses a directory that we cannot own. */
export async function ensureDirectory(path: string): Promise<'made' | 'present'> {
  const before = await exists(path);
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (!before) await fsyncPath(dirname(path));
  } catch (error) {
    throw cannotMake(path, error);
  }
  await requireOwnDirectory(path);
  return before ? 'present' : 'made';
}

/**
 * Refuses a directory in which files cannot have hard links: a WAL segment gets its name by a link, because a link
 * never replaces another file. Leaves nothing behind.
 */
export async function requireHardLinks(directory: string, nonce: string): Promise<void> {
  const [from, to] = [join(directory, `.probe.${nonce}`), join(directory, `.probe.${nonce}.link`)];
  try {
    await writeFile(from, '', { mode: 0o600 }).catch((error: unknown) => {
      throw new PitrError(`cannot write to "${directory}"`, { detail: messageOf(error), cause: error });
    });
    await link(from, to).catch((error: unknown) => {
      if (!['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(systemErrorCode(error) ?? '')) return;
      throw new PitrError(`"${directory}" lies on a file system without hard links`, {
        detail: messageOf(error),
        hint: 'A WAL file gets its final name by a hard link: use a file system that supports them, such as ext4, XFS or NFS (CIFS and some of FUSE have none).',
        cause: error,
      });
    });
  } finally {
    await rm(to, { force: true });
    await rm(from, { force: true });
  }
}

/** If others can write to a directory above, they can replace our directory; a sticky directory prevents that. */
async function requireGuardedAbove(path: string): Promise<void> {
  const above = dirname(path);
  if (above === path) return;
  const found = await stat(above).catch(() => undefined);
  if (found !== undefined && (found.mode & 0o1002) === 0o002) {
    throw new PitrError(
      `other users can write to "${above}" (mode ${octalMode(found)}), and could replace its contents`,
      {
        hint: `chmod o-w ${above}`,
      },
    );
  }
  await requireGuardedAbove(above);
}

/** Refuses a path if it is no directory, if it is not ours, if we cannot write to it, or if others can. */
export async function requireOwnDirectory(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw new PitrError(`cannot use directory "${path}"`, { detail: messageOf(error), cause: error });
  });
  if (!found.isDirectory()) throw new PitrError(`"${path}" is not a directory`);
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) {
    throw new PitrError(`directory "${path}" belongs to user ${found.uid}, not to us (user ${uid})`, {
      hint: `Run this program as the owner, or give the directory away: chown USER ${path}`,
    });
  }
  if (letsOthersWrite(found)) {
    throw new PitrError(`other users can write to "${path}" (mode ${octalMode(found)})`, {
      hint: `chmod go-w ${path}`,
    });
  }
  await requireGuardedAbove(await realpath(path));
  if ((found.mode & 0o700) !== 0o700) {
    throw new PitrError(`the owner of directory "${path}" cannot write to it (mode ${octalMode(found)})`, {
      hint: `chmod 0700 ${path}`,
    });
  }
}
