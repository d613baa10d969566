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
