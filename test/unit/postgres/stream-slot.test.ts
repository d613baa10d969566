import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { keptSlot } from '../../../src/postgres/kept-slot.ts';
import {
  dropSlotSql,
  isLost,
  isStreamSlot,
  makeSlotSql,
  parseSlots,
  slotSettingsSql,
  slotsSql,
  streamSlotName,
} from '../../../src/postgres/stream-slot.ts';
import { parseVersion } from '../../../src/postgres/version.ts';

const of = (release: string) => capabilitiesOf(parseVersion(release));
const digest = '0123456789ab';

describe('the name of a slot', () => {
  test.each(['node-b', 'node_b.example.org', 'ÄÖ', '', 'x'.repeat(200), '10.0.0.1'])(
    'of "%s" has only characters that PostgreSQL allows, and is known as ours',
    (host) => {
      const name = streamSlotName(host, digest);
      expect(name).toMatch(/^[a-z0-9_]{1,63}$/);
      expect(isStreamSlot(name)).toBe(true);
    },
  );

  test('is not that of another program, nor of the slot that a standby has on itself', () => {
    for (const name of [keptSlot, 'pitrtools_4711', 'pitrtools_for_', 'node_b', `pitrtools_for_x_${digest}0`])
      expect(isStreamSlot(name)).toBe(false);
  });
});

describe('the statements about slots', () => {
  test.each([
    ['9.4', "SELECT pg_create_physical_replication_slot('s')"],
    ['9.5', "SELECT pg_create_physical_replication_slot('s')"],
    ['9.6', "SELECT pg_create_physical_replication_slot('s', true)"],
    ['18', "SELECT pg_create_physical_replication_slot('s', true)"],
  ])('of %s make one that keeps WAL at once where the release can', (release, sql) => {
    expect(makeSlotSql(of(release), 's')).toBe(sql);
  });

  test('ask only what the release has', () => {
    expect(slotsSql(of('9.4'))).not.toMatch(/active_pid|wal_status|_lsn\(/);
    expect(slotsSql(of('9.4'))).toContain('pg_current_xlog_location()');
    expect(slotsSql(of('9.5'))).toContain('active_pid');
    expect(slotsSql(of('12'))).not.toContain('wal_status');
    expect(slotsSql(of('13'))).toContain('wal_status');
    // An invalidated slot in use: seen on 16 and 17.
    expect(slotsSql(of('16'))).toContain(
      "active AND wal_status = 'unreserved' AND coalesce(safe_wal_size, 1) > 0 THEN 'lost'",
    );
    expect(slotSettingsSql(of('9.5'))).not.toContain('pg_control_system');
    expect(slotSettingsSql(of('9.6'))).toContain('pg_control_system');
    expect(slotSettingsSql(of('12'))).not.toContain('max_slot_wal_keep_size');
    expect(dropSlotSql("a'b")).toContain("slot_name = 'a''b' AND NOT active");
  });
});

describe('the answer', () => {
  const row = (megabytes: string) => [['postgres', 'true', '10', 'replica', megabytes, '7']];

  test('of a server without slots, with and without a limit', () => {
    expect(parseSlots(row('1024'), [])).toEqual({
      login: 'postgres',
      mayMake: true,
      most: 10,
      walLevel: 'replica',
      limitBytes: 1024 ** 3,
      canLimit: true,
      systemIdentifier: '7',
      slots: [],
    });
    expect(parseSlots(row('-1'), [])).toMatchObject({ limitBytes: undefined, canLimit: true });
    expect(parseSlots(row('0'), [])).toMatchObject({ limitBytes: 0, canLimit: true });
    expect(parseSlots(row(''), [])).toMatchObject({ limitBytes: undefined, canLimit: false });
  });

  test('shows what each slot keeps', () => {
    const { slots } = parseSlots(row('-1'), [
      ['one', 'physical', 'true', '10.0.0.1 b', 'reserved', '4096'],
      ['two', 'logical', 'false', '', 'lost', ''],
    ]);
    expect(slots[0]).toMatchObject({
      isPhysical: true,
      isActive: true,
      client: '10.0.0.1 b',
      heldBytes: 4096,
    });
    expect(slots[1]).toMatchObject({ isPhysical: false, isActive: false, heldBytes: undefined });
    expect(slots.map(isLost)).toEqual([false, true]);
  });
});
