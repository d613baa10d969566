import { inMegabytes } from '../megabytes.ts';

/**
 * The physical replication slot with which a streaming standby keeps WAL that its archive lacks: restartpoints do not
 * remove it. It stays through a promotion, until the standbys of the new primary have that WAL (manual, section
 * "Replication Slots"). No server streams from it.
 */
export const keptSlot = 'pitrtools_keep';

/** Its directory below pgdata: it exists as long as the slot does, also while the server is stopped. */
export const keptSlotDirectory = `pg_replslot/${keptSlot}`;

/**
 * WAL that the server would have removed without the slot, in bytes: what lies between the slot and the last
 * checkpoint or restartpoint. From 10 on.
 */
export const heldBytesSql = `(SELECT redo_lsn FROM pg_control_checkpoint()) - restart_lsn`;

/**
 * Why the slot must not keep WAL any longer: the file system of pg_wal is too full. What is given up now is removed only
 * at the end of the next checkpoint or restartpoint. Until we look again, about max_wal_size may come, and as much until
 * that removal. Undefined if there is room. Pure.
 */
export function whyTooFull(free: number, maxWalSize: number): string | undefined {
  if (free >= 2 * maxWalSize) return undefined;
  return `only ${inMegabytes(free)} are free on the file system of pg_wal, less than twice max_wal_size (${inMegabytes(maxWalSize)})`;
}
