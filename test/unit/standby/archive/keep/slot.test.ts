import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../src/postgres/version.ts';
import { advanceSlot, askSlot } from '../../../../../src/standby/archive/keep/slot.ts';

async function statementsOf(releasesByAdvance: boolean): Promise<readonly string[]> {
  const sent: string[] = [];
  const sql = (text: string) => {
    sent.push(/pg_[a-z_]+slot[a-z_]*/.exec(text)?.[0] ?? text);
    return Promise.resolve([]);
  };
  await advanceSlot(sql, 0x5000000n, { releasesByAdvance });
  return sent;
}

test('an early minor release is made to compute anew what the slots need, while ours is there', async () => {
  expect(await statementsOf(true)).toEqual(['pg_replication_slot_advance']);
  expect(await statementsOf(false)).toEqual([
    'pg_replication_slot_advance',
    'pg_create_physical_replication_slot',
    'pg_drop_replication_slot',
  ]);
});

test('for that it needs a second slot', async () => {
  const ask = (version_num: string, slots: string) =>
    askSlot(
      () =>
        Promise.resolve([
          { redo: '0/5000028', version_num, slots, most_slots: '5', wal_level: 'replica', may_make: true },
        ]),
      capabilitiesOf(parseVersion('11')),
    );
  expect(await ask('110008', '3')).toMatchObject({ obstacle: undefined, releasesByAdvance: false });
  expect((await ask('110008', '4')).obstacle).toContain('4 slots are in use: two more are needed');
  expect((await ask('110009', '4')).obstacle).toBeUndefined();
  expect((await ask('110009', '5')).obstacle).toContain('5 slots are in use: one more is needed');
  expect((await ask('110009', '5')).hasSpareSlot).toBe(false);
});
