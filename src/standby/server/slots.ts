import type { Capabilities } from '../../postgres/capabilities.ts';
import { keptSlot } from '../../postgres/kept-slot.ts';
import { isStreamSlot } from '../../postgres/stream-slot.ts';
import type { LocalSql } from '../../system/local-sql.ts';

/** A replication slot of the server that outlives its session, and is none of ours. */
export interface Slot {
  /** Lower-case letters, digits and underscores. */
  readonly name: string;
  readonly kind: 'physical' | 'logical';
  /** WAL that it has not passed stays in pg_wal; not so if the server has given it up, or if it was never used. */
  readonly keepsWal: boolean;
  /** It is, or was, a standby's copy of its primary's slot. */
  readonly isCopy: boolean;
  /** Standbys may copy it. */
  readonly isForFailover: boolean;
}

/** From 9.4 on. */
function slotsSql({
  hasTemporarySlots,
  tellsSlotWalStatus,
  syncsSlots,
}: Pick<Capabilities, 'hasTemporarySlots' | 'tellsSlotWalStatus' | 'syncsSlots'>): string {
  const keeps = [
    'restart_lsn IS NOT NULL',
    ...(tellsSlotWalStatus ? ["wal_status IS DISTINCT FROM 'lost'"] : []),
    ...(syncsSlots ? ['invalidation_reason IS NULL'] : []),
  ];
  // A copy is temporary until it has caught up with its original, and a promotion drops it then.
  const lasts = hasTemporarySlots ? 'AND NOT temporary' : '';
  const copied = syncsSlots ? 'synced, failover' : 'false AS synced, false AS failover';
  return `SELECT slot_name::text AS name, slot_type AS kind, ${keeps.join(' AND ')} AS keeps, ${copied}
FROM pg_replication_slots WHERE slot_name <> '${keptSlot}' ${lasts} ORDER BY 1`;
}

export async function listSlots(sql: LocalSql, capabilities: Capabilities): Promise<readonly Slot[]> {
  if (!capabilities.hasReplicationSlots) return [];
  const rows = await sql(slotsSql(capabilities));
  const others = rows.filter(({ name }) => !isStreamSlot(String(name)));
  return others.map((row) => ({
    name: String(row['name']),
    kind: row['kind'] === 'logical' ? 'logical' : 'physical',
    keepsWal: row['keeps'] === true,
    isCopy: row['synced'] === true,
    isForFailover: row['failover'] === true,
  }));
}
