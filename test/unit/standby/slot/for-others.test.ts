import { expect, test } from 'vitest';
import { afterPromotion } from '../../../../src/standby/slot/for-others.ts';
import { settingObjections } from '../../../../src/standby/slot/objections.ts';
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
