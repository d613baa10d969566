import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import { type Lock, takeLock } from '../../system/lock.ts';
import type { StandbyDeps } from '../deps.ts';

const lockName = '.cmd_standby.lock';
/** The rsync of a killed run holds the lock until it notices that nobody reads its output. */
const lockWaitMs = 10_000;

/** Excludes all other actions of this standby that change something. Undefined if one of them is running. */
export async function takeActionLock(
  { run, settings }: StandbyDeps,
  waitMs = lockWaitMs,
): Promise<Lock | undefined> {
  return takeLock(run, join(settings.archivedir, lockName), waitMs);
}

export function isRunningRefusal({ settings }: StandbyDeps) {
  return refusal('another action of cmd_standby, or the copy that it began, is still running', {
    hint: `Wait until it has ended. To see which process holds the lock: fuser -v ${join(settings.archivedir, lockName)}`,
  });
}

/** The same for a verb that another host asks for. */
export async function withActionLock<T>(
  deps: StandbyDeps,
  use: (deps: StandbyDeps) => Promise<T>,
  waitMs = lockWaitMs,
): Promise<T> {
  const lock = await takeActionLock(deps, waitMs);
  if (lock === undefined) throw isRunningRefusal(deps);
  try {
    return await use({ ...deps, lockFd: lock.fd });
  } finally {
    await lock.release();
  }
}
