import { setImmediate as breathe } from 'node:timers/promises';
import { messageOf, PitrError } from '../../../../errors.ts';
import { systemErrorCode } from '../../../../system/durable.ts';
import { chmod, mkdir, removeTree, utimesSync } from '../../../../system/files.ts';
import type { BackupContext } from '../context.ts';
import { localPath, type PlannedDirectory, type SurveyedRoot } from './planned-files.ts';

const filesPerBreath = 2000;

/** In seconds since 1970: no file of a primary has this time. */
const impossibleTime = 0.5;

/** A file of another user was written by no server and by no copy of ours; one that is gone proves nothing. */
const harmless: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOENT']);

/** Resets the times of files whose times prove nothing, so that rsync compares their contents. */
async function distrustTimes(target: string, paths: readonly string[]): Promise<void> {
  for (const [index, path] of paths.entries()) {
    try {
      utimesSync(localPath(target, path), impossibleTime, impossibleTime);
    } catch (error) {
      if (!harmless.has(systemErrorCode(error))) throw error;
    }
    if ((index + 1) % filesPerBreath === 0) await breathe();
  }
}

/** The directories are in the order of a walk: each comes after its parent. */
async function makeDirectory(target: string, { path, mode }: PlannedDirectory): Promise<void> {
  const place = localPath(target, path);
  try {
    await mkdir(place, { mode: 0o700 });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  // Only we may write there, whatever mode the directory has on the primary.
  await chmod(place, (mode & 0o755) | 0o700);
}

async function prepareRoot({ deps }: BackupContext, root: SurveyedRoot): Promise<void> {
  for (const path of root.here.superfluous) await removeTree(localPath(root.target, path));
  deps.signal.throwIfAborted();
  for (const directory of root.directories) await makeDirectory(root.target, directory);
  for (const path of root.here.unwritable) await chmod(localPath(root.target, path), 0o600);
  await distrustTimes(root.target, root.here.recent);
}

/** Removes the entries that the primary does not have, and makes the primary's directories. */
export async function prepareTargets(context: BackupContext, roots: readonly SurveyedRoot[]): Promise<void> {
  for (const root of roots) {
    try {
      await prepareRoot(context, root);
    } catch (error) {
      if (error instanceof PitrError) throw error;
      throw new PitrError(`cannot prepare "${root.target}"`, { detail: messageOf(error), cause: error });
    }
  }
}
