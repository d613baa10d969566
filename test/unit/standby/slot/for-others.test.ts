import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { afterPromotion, hasSlotsHere, slotsOf } from '../../../../src/standby/slot/for-others.ts';
import { settingObjections } from '../../../../src/standby/slot/objections.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { answering } from '../siblings/sibling-kit.ts';
import { slots } from './slots-there.ts';

test('slots for others are judged by the configuration with which the promoted server starts again', () => {
  const now = slots();
  expect(afterPromotion(now, new Map())).toEqual(now);
  const later = (name: string, value: string) => afterPromotion(now, new Map([[name, value]]));
  expect(later('max_replication_slots', '3').most).toBe(3);
  expect(later('max_replication_slots', '30').most).toBe(now.most);
  expect(later('max_slot_wal_keep_size', '-1').limitBytes).toBeUndefined();
  expect(later('max_slot_wal_keep_size', '100').limitBytes).toBe(now.limitBytes);
  expect(settingObjections(later('wal_level', 'minimal'), 'h')).toEqual([
    expect.objectContaining({ message: 'wal_level is minimal on h, and a replication slot needs more' }),
  ]);
  expect(settingObjections(later('wal_level', 'logical'), 'h')).toEqual([]);
});

test('there are slots to drop if one has our name, if one is noted, or if that cannot be seen', async () => {
  const pgdata = temporaryDirectory();
  const slot = 'pitrtools_for_b_0123456789ab';
  expect(await hasSlotsHere({ pgdata, record: {} })).toBe(false);
  expect(await hasSlotsHere({ pgdata, record: { slotsForOthers: [{ name: slot }] } })).toBe(true);
  mkdirSync(join(pgdata, 'pg_replslot', 'another'), { recursive: true });
  expect(await hasSlotsHere({ pgdata, record: {} })).toBe(false);
  mkdirSync(join(pgdata, 'pg_replslot', slot));
  expect(await hasSlotsHere({ pgdata, record: {} })).toBe(true);
  const file = join(pgdata, 'file');
  writeFileSync(file, '');
  expect(await hasSlotsHere({ pgdata: file, record: {} })).toBe(true);
});

test('a slot is made only for a standby that will follow this host', () => {
  const name = (letter: string) => `pitrtools_for_${letter}_0123456789ab`;
  const standby = (letter: string, said: Parameters<typeof answering>[1] = {}) =>
    answering(letter, { streamSlot: name(letter), streamsFrom: 'alpha', ...said });
  const siblings = [
    standby('follows'),
    standby('opened', { server: 'production' }),
    standby('stopped', { server: 'down' }),
    standby('cascade', { streamsFrom: 'follows' }),
    standby('other'),
    // The old primary is no standby, although cmd_archiver.ini here names it already.
    answering('alpha', { server: 'production' }),
  ];
  const compared = siblings
    .filter(({ target }) => target.name === 'other')
    .map(({ target }) => ({ target, standing: { kind: 'other-timeline', timeline: 3 } as const }));
  const comparison = { fetches: [], reach: undefined, compared };
  expect(slotsOf({ siblings, comparison })).toEqual([name('follows')]);
});
