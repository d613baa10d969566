import { createHash } from 'node:crypto';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { streamSlotName } from '../../postgres/stream-slot.ts';
import type { StandbyDeps } from '../deps.ts';
import type { StandbyRecord } from '../host/backup-record/record.ts';

/**
 * Two standbys of one primary differ in their host, or in their data directory on it; if two hosts have one name, by
 * what the base backup has recorded in the data directory.
 */
function digestOf(host: string, pgdata: string, identity: string | undefined): string {
  const parts = identity === undefined ? [host, pgdata] : [host, pgdata, identity];
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 12);
}

/** Its record says which data directory it is. */
export type SlotIdentity = Pick<StandbyRecord, 'slotIdentity'>;

/** The slot by which the standby here streams; undefined if its INI file or its release wants none. */
export function ownSlotName(
  { settings, hostName }: Pick<StandbyDeps, 'settings' | 'hostName'>,
  { hasReplicationSlots }: Pick<Capabilities, 'hasReplicationSlots'>,
  { slotIdentity }: SlotIdentity,
): string | undefined {
  const { use_streaming_replication: streams, use_slot: isWanted, pgdata } = settings;
  return streams && isWanted && hasReplicationSlots
    ? streamSlotName(hostName, digestOf(hostName, pgdata, slotIdentity))
    : undefined;
}
