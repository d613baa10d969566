import { describe, expect, test } from 'vitest';
import { slotConcerns, slotObjections } from '../../../../src/standby/slot/objections.ts';
import { slot, slots } from './slots-there.ts';

const { name } = slot();
const wanted = { name, host: 'a', mayBeInUse: false, isUnlimited: false };
const texts = (...input: Parameters<typeof slotObjections>) =>
  slotObjections(...input).map(({ message, hint }) => `${message}. ${hint ?? ''}`);

describe('a slot on the primary', () => {
  test('that can be had, or is there and unused, meets no objection', () => {
    expect(texts(slots(), wanted)).toEqual([]);
    expect(texts(slots({ most: 1, slots: [slot()] }), wanted)).toEqual([]);
    // It is made anew.
    expect(texts(slots({ most: 1, slots: [slot({ status: 'lost' })] }), wanted)).toEqual([]);
  });

  test('needs a right, room and a wal_level: all that lacks is named at once, with the way out', () => {
    const found = texts(
      slots({
        mayMake: false,
        login: 'streamer',
        walLevel: 'minimal',
        limitBytes: undefined,
        most: 2,
        slots: [slot({ name: 'unused' }), slot({ name: 'busy', isActive: true })],
      }),
      wanted,
    );
    expect(found).toHaveLength(4);
    expect(found[0]).toContain('ALTER ROLE streamer REPLICATION');
    expect(found[1]).toContain('wal_level is minimal on a');
    expect(found[2]).toContain("ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'");
    expect(found[3]).toMatch(/max_replication_slots is 2 on a, and all are taken: unused, busy/);
    expect(found[3]).toContain("pg_drop_replication_slot('unused')");
    expect(found[3]).not.toContain("pg_drop_replication_slot('busy')");
    expect(texts(slots({ most: 0 }), wanted)).toEqual([
      expect.stringContaining('max_replication_slots is 0'),
    ]);
  });

  test('must be limited, unless slot_unlimited accepts that it is not', () => {
    const old = slots({ limitBytes: undefined, canLimit: false });
    expect(texts(old, wanted)).toEqual([expect.stringContaining('slot_unlimited: yes')]);
    expect(texts(old, { ...wanted, isUnlimited: true })).toEqual([]);
    expect(texts(slots({ limitBytes: undefined }), { ...wanted, isUnlimited: true })).toEqual([]);
  });

  test('that another standby uses is an objection, and one that this standby may be using is not', () => {
    const busy = slots({ slots: [slot({ isActive: true, client: '10.0.0.7 other\nhost' })] });
    expect(texts(busy, wanted)).toEqual([expect.stringContaining('is in use by 10.0.0.7 other\\nhost')]);
    expect(texts(busy, wanted)[0]).not.toContain('\n');
    expect(texts(busy, { ...wanted, mayBeInUse: true })).toEqual([]);
    expect(texts(slots({ slots: [slot({ isPhysical: false })] }), wanted)).toEqual([
      expect.stringContaining('is a logical one'),
    ]);
  });
});

describe('slots of other standbys', () => {
  const other = 'pitrtools_for_c_0123456789ab';
  const concerns = (changes: Parameters<typeof slot>[0], limitBytes: number | undefined = 1024 ** 2) =>
    slotConcerns(slots({ limitBytes, slots: [slot({ name: other, ...changes })] }), 'a', name);

  test('are a concern once they have lost their WAL, or keep much and are not used', () => {
    expect(concerns({ status: 'lost' })).toEqual([expect.stringContaining('keeps no WAL any more')]);
    expect(concerns({ status: 'lost', isActive: true })).toEqual([
      expect.stringMatching(/is in use, but keeps no WAL any more .*-A stop, then -S on that standby/),
    ]);
    expect(concerns({ heldBytes: 600_000 })).toEqual([
      expect.stringMatching(/is not in use and keeps 0.6 MB .*pg_drop_replication_slot\('pitrtools_for_c_/),
    ]);
    expect(concerns({ heldBytes: 500_000 })).toEqual([]);
    expect(concerns({ heldBytes: 600_000, isActive: true })).toEqual([]);
    const huge = { heldBytes: 1024 ** 3 };
    expect(
      slotConcerns(slots({ limitBytes: undefined, slots: [slot({ name: other, ...huge })] }), 'a'),
    ).toHaveLength(1);
  });

  test('are not those of other programs, nor the one that is about to be used', () => {
    expect(concerns({ name: 'theirs', status: 'lost' })).toEqual([]);
    expect(concerns({ name: 'pitrtools_keep', heldBytes: 1024 ** 3 })).toEqual([]);
    expect(concerns({ name, status: 'lost' })).toEqual([]);
  });
});
