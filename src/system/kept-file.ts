import { constants } from 'node:fs';
import { access, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, PitrError } from '../errors.ts';
import { fsyncPath } from './durable.ts';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Why the user of this process cannot give a new file that owner and that group; undefined if he can. */
export function ownerObstacle(
  { uid, gid }: Owner,
  user = process.getuid?.(),
  groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])],
): string | undefined {
  // Only the superuser gives files away. A user can give his own to his groups.
  if (user === 0) return undefined;
  if (uid !== user) return `it belongs to user ${uid}, and cmd_standby runs as user ${user ?? 'unknown'}`;
  return groups.includes(gid) ? undefined : `it belongs to group ${gid}, of which its owner is no member`;
}

/**
 * Why a file of the user cannot be replaced by one of the same owner, group and mode; undefined if it can. Changes
 * nothing.
 */
export async function whyNotReplaced(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    const { uid, gid } = await stat(real);
    const obstacle = ownerObstacle({ uid, gid });
    if (obstacle !== undefined) return obstacle;
    await access(real, constants.W_OK);
    await access(dirname(real), constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Replaces a file of the user such that a crash leaves either the old content or the new one. Owner, group and mode
 * stay; of a symbolic link, the file that it leads to is replaced.
 */
export async function replaceKept(path: string, content: string): Promise<void> {
  try {
    const real = await realpath(path);
    const { uid, gid, mode } = await stat(real);
    const temporary = join(dirname(real), `.${basename(real)}.${process.pid}.tmp`);
    try {
      await rm(temporary, { force: true });
      const handle = await open(temporary, 'wx', 0o600);
      try {
        const made = await handle.stat();
        if (made.uid !== uid || made.gid !== gid) await handle.chown(uid, gid);
        await handle.chmod(mode & 0o7777);
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, real);
    } finally {
      await rm(temporary, { force: true });
    }
    await fsyncPath(dirname(real));
  } catch (error) {
    throw new PitrError(`cannot write "${path}"`, { detail: messageOf(error), cause: error });
  }
}
