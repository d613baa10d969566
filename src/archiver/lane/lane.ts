import { join } from 'node:path';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { takeLock } from '../../system/lock.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Layout } from '../layout.ts';

/** The way to one standby, as this host sees it: made once per standby and passed to everything that concerns it. */
export interface Lane {
  readonly standby: StandbyTarget;
  /** The standby's name, for messages. */
  readonly name: string;
  /** The directory of the WAL that waits for it. */
  readonly queue: string;
  readonly stateFile: string;
  /** Locked by the one process that delivers. */
  readonly lockFile: string;
  /** Exists as long as nothing was ever delivered to that name. */
  readonly undeliveredFile: string;
}

export function laneOf({ root, privateDirectory }: Layout, standby: StandbyTarget): Lane {
  const { name } = standby;
  return {
    standby,
    name,
    queue: join(root, name),
    stateFile: join(privateDirectory, `${name}.json`),
    lockFile: join(privateDirectory, `${name}.lock`),
    undeliveredFile: join(privateDirectory, `${name}.undelivered`),
  };
}

/** One lane per standby of the INI file, in the order of that file. */
export function lanesOf({ layout, settings }: ArchiverDeps): readonly Lane[] {
  return settings.standbys.map((standby) => laneOf(layout, standby));
}

/**
 * Holds the lane's lock while `use` runs; calls `orElse` if another process keeps the lock for longer than `waitMs`.
 */
export async function withLaneLock<T>(
  { run }: ArchiverDeps,
  { lockFile }: Lane,
  waitMs: number,
  use: () => Promise<T>,
  orElse: () => Promise<T>,
): Promise<T> {
  const lock = await takeLock(run, lockFile, waitMs);
  if (lock === undefined) return orElse();
  try {
    return await use();
  } finally {
    await lock.release();
  }
}
