import { join } from 'node:path';
import { refusal } from '../../errors.ts';
import { type Lock, takeLock } from '../../system/lock.ts';
import type { StandbyDeps } from '../deps.ts';

const lockName = '.cmd_standby.lock';
/** The rsync of a killed run holds the lock until it notices that nobody reads its output. */
const lockWaitMs = 10_000;

export function actionLockPath({ settings }: Pick<StandbyDeps, 'settings'>): string {
  return join(settings.archivedir, lockName);
}

/** Excludes all other actions of this standby that change something. Undefined if one of them is running. */
export async function takeActionLock(deps: StandbyDeps, waitMs = lockWaitMs): Promise<Lock | undefined> {
  return takeLock(deps.run, actionLockPath(deps), waitMs);
}

export function isRunningRefusal(deps: StandbyDeps) {
  return refusal('another action of cmd_standby, or the copy that it began, is still running', {
    hint: `Wait until it has ended. To see which process holds the lock: fuser -v ${actionLockPath(deps)}`,
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
