import { expect, test } from 'vitest';
import { mountPointsIn, mountsBelow } from '../../../src/system/mounts.ts';

test('the mount points are read as the kernel writes them', () => {
  const text = [
    '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
    '35 22 0:31 / /data/main/pg\\040wal rw shared:9 - xfs /dev/sdb rw',
    '36 22 0:32 /a\\134b /data/a\\134b\\011c\\012d rw - ext4 /dev/sdc rw',
    '',
  ].join('\n');
  expect(mountPointsIn(text)).toEqual(['/', '/data/main/pg wal', '/data/a\\b\tc\nd']);
});

test('only mounts below a directory count', async () => {
  expect(await mountsBelow(['/'])).not.toContain('/');
  expect(await mountsBelow(['/proc/self/fd'])).toEqual([]);
  await expect(mountsBelow(['/nonexistent'])).rejects.toThrow('ENOENT');
});
