import { expect, test } from 'vitest';
import { whyTooMuch } from '../../../../src/archiver/shipper/kept-slot.ts';

const gibibyte = 1024 ** 3;
const roomy = { held: 2 * gibibyte, maxWalSize: gibibyte, free: 50 * gibibyte };

test('the slot of a promoted standby is bounded by its size and by the free space', () => {
  expect(whyTooMuch(roomy, 2 * gibibyte)).toBeUndefined();
  expect(whyTooMuch(roomy, 2 * gibibyte - 1)).toBe('it keeps 2048 MB, and keep_streamed_max is 2048 MB');
  expect(whyTooMuch({ ...roomy, free: 2 * gibibyte - 1 }, 10 * gibibyte)).toContain(
    'are free on the file system of pg_wal, less than twice max_wal_size (1024 MB)',
  );
  // Dropped, it would free nothing.
  expect(whyTooMuch({ ...roomy, held: 0, free: 0 }, 0)).toBeUndefined();
});
