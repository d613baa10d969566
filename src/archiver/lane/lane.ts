import { join } from 'node:path';
import type { StandbyTarget } from '../../config/options-archiver.ts';
import { exists, removeDurably, writeDurably } from '../../system/durable.ts';
import { takeLock } from '../../system/lock.ts';
import { proofFileIn, withdrawProofs } from '../../system/proofs.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Layout } from '../layout.ts';
import { createLedgerMemory, ledgerPlace } from '../ledger/ledger.ts';
import type { Cluster } from '../wal/cluster.ts';

/** The way to one standby, as this host sees it: made once per standby and passed to everything that concerns it. */
export type Lane = Readonly<ReturnType<typeof laneOf>>;

export function laneOf({ root, privateDirectory }: Layout, standby: StandbyTarget) {
  const { name } = standby;
  return {
    standby,
    /** The standby's name, for messages. */
    name,
    /** The directory of the WAL that waits for it. */
    queue: join(root, name),
    stateFile: join(privateDirectory, `${name}.json`),
    /** Locked by the one process that delivers. */
    lockFile: join(privateDirectory, `${name}.lock`),
    /** Exists as long as nothing was ever delivered to that name. */
    undeliveredFile: join(privateDirectory, `${name}.undelivered`),
    /** See left-state.ts. */
    leftFile: join(privateDirectory, `${name}.left`),
    /** Remembered by this process in case the disk takes nothing. */
    unnoted: {} as { asked?: number; unanswered?: { readonly atMs: number; readonly reason: string } },
    /** See system/proofs.ts. */
    proofFile: proofFileIn(privateDirectory, name),
    ...ledgerPlace(privateDirectory, name),
    ledger: createLedgerMemory(),
  };
}

/** One lane per standby of the INI file, in the order of that file. */
export function lanesOf({ layout, settings }: ArchiverDeps): readonly Lane[] {
  return settings.standbys.map((standby) => laneOf(layout, standby));
}

/**
 * Withdraws the proofs of standbys that `slaves` does not name: from now on WAL is archived without them. In recovery,
 * WAL comes that this server never archives: no proof remains. Call this before anything is archived by an INI file.
 */
export async function withdrawEndedProofs(
  { log, layout, settings }: ArchiverDeps,
  { isInRecovery }: Cluster,
): Promise<void> {
  const served = new Set(isInRecovery ? [] : settings.standbys.map(({ name }) => name));
  await withdrawProofs(log, layout.privateDirectory, (standby) => !served.has(standby));
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

/**
 * Whether WAL was ever delivered to a name. The absence of a file means yes: removing a file needs no space in
 * l_archivedir, and a lane that an older version began, without the file, counts as one with a history.
 */
export async function hasHistory({ undeliveredFile }: Lane): Promise<boolean> {
  return !(await exists(undeliveredFile));
}

/** `-I` begins a lane. Only a lane without any trace is known to have delivered nothing. */
export async function beginHistory({ undeliveredFile, queue, lockFile, stateFile }: Lane): Promise<void> {
  for (const trace of [undeliveredFile, queue, lockFile, stateFile]) {
    if (await exists(trace)) return;
  }
  await writeDurably(undeliveredFile, '');
}

/**
 * Call this before the first file gets its name at the standby. If the process is killed in between, the lane counts
 * as delivered.
 */
export async function noteDelivery(lane: Lane): Promise<void> {
  if (!(await hasHistory(lane))) await removeDurably(lane.undeliveredFile);
}
