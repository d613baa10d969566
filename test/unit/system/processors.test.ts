import { describe, expect, test } from 'vitest';
import { allowedProcessors, halfOf, keepTo } from '../../../src/system/processors.ts';

describe('the processors of a process', () => {
  test('are those of the kernel: this one has at least one', async () => {
    const found = await allowedProcessors(process.pid);
    expect(found.length).toBeGreaterThan(0);
    expect([...found].sort((a, b) => a - b)).toEqual(found);
  });

  test('are unknown of one that has ended', async () => {
    expect(await allowedProcessors(2 ** 22 + 1)).toEqual([]);
  });

  test.each([
    [[0], [0]],
    [[0, 1], [1]],
    [
      [0, 1, 2],
      [1, 2],
    ],
    [
      [2, 3, 8, 9],
      [8, 9],
    ],
  ])('half of %j is %j', (all, half) => {
    expect(halfOf(all)).toEqual(half);
  });

  test('one is kept to them with all its threads', () => {
    expect(keepTo(7, [1, 3])).toEqual({ program: 'taskset', args: ['-a', '-c', '-p', '1,3', '7'] });
  });
});
