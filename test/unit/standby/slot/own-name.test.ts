import { expect, test } from 'vitest';
import type { StandbySettings } from '../../../../src/config/options-standby.ts';
import { isStreamSlot } from '../../../../src/postgres/stream-slot.ts';
import { ownSlotName } from '../../../../src/standby/slot/own-name.ts';

test('two standbys never share a slot, even if their hosts and data directories have the same names', () => {
  const name = (hostName: string, pgdata: string, slotIdentity?: string) =>
    ownSlotName(
      { settings: { use_streaming_replication: true, use_slot: true, pgdata } as StandbySettings, hostName },
      { hasReplicationSlots: true },
      { slotIdentity },
    ) ?? '';
  const names = [
    name('db', '/d', '1'),
    name('db', '/d', '2'),
    name('db', '/d'),
    name('db', '/e'),
    name('d.b', '/d'),
  ];
  expect(new Set(names).size).toBe(names.length);
  expect(names.every(isStreamSlot)).toBe(true);
  expect(name('db', '/d', '1')).toBe(names[0]);
});
