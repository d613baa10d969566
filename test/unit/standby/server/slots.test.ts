import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { listSlots } from '../../../../src/standby/server/slots.ts';

async function ask(version: string, rows: readonly Record<string, unknown>[] = []) {
  const asked: string[] = [];
  const sql = (text: string) => {
    asked.push(text.replaceAll(/\s+/g, ' '));
    return Promise.resolve(rows);
  };
  return { slots: await listSlots(sql, capabilitiesOf(parseVersion(version))), asked };
}

test.each([
  ['9.3', []],
  [
    '9.4',
    [
      "SELECT slot_name::text AS name, slot_type AS kind, restart_lsn IS NOT NULL AS keeps, false AS synced, false AS failover FROM pg_replication_slots WHERE slot_name <> 'pitrtools_keep' ORDER BY 1",
    ],
  ],
  [
    '10',
    [
      "SELECT slot_name::text AS name, slot_type AS kind, restart_lsn IS NOT NULL AS keeps, false AS synced, false AS failover FROM pg_replication_slots WHERE slot_name <> 'pitrtools_keep' AND NOT temporary ORDER BY 1",
    ],
  ],
  [
    '17',
    [
      "SELECT slot_name::text AS name, slot_type AS kind, restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost' AND invalidation_reason IS NULL AS keeps, synced, failover FROM pg_replication_slots WHERE slot_name <> 'pitrtools_keep' AND NOT temporary ORDER BY 1",
    ],
  ],
])('the slots of PostgreSQL %s are asked by the columns that it has', async (version, statements) => {
  expect((await ask(version)).asked).toEqual(statements);
});

test('a slot is read from its row', async () => {
  const rows = [
    { name: 'a', kind: 'physical', keeps: true, synced: false, failover: false },
    { name: 'b', kind: 'logical', keeps: false, synced: true, failover: true },
  ];
  expect((await ask('17', rows)).slots).toEqual([
    { name: 'a', kind: 'physical', keepsWal: true, isCopy: false, isForFailover: false },
    { name: 'b', kind: 'logical', keepsWal: false, isCopy: true, isForFailover: true },
  ]);
});
