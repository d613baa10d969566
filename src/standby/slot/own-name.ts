import { createHash } from 'node:crypto';
import type { Capabilities } from '../../postgres/capabilities.ts';
import { streamSlotName } from '../../postgres/stream-slot.ts';
import type { StandbyDeps } from '../deps.ts';

/** Two standbys of one primary differ in their host, or in their data directory on it. */
function digestOf(host: string, pgdata: string): string {
  return createHash('sha256').update(`${host}\0${pgdata}`).digest('hex').slice(0, 12);
}

/** The slot by which the standby here streams; undefined if its INI file or its release wants none. */
export function ownSlotName(
  { settings, hostName }: Pick<StandbyDeps, 'settings' | 'hostName'>,
  { hasReplicationSlots }: Pick<Capabilities, 'hasReplicationSlots'>,
): string | undefined {
  const { use_streaming_replication: streams, use_slot: isWanted, pgdata } = settings;
  return streams && isWanted && hasReplicationSlots
    ? streamSlotName(hostName, digestOf(hostName, pgdata))
    : undefined;
}
