import { expect, test } from 'vitest';
import { portionsOf } from '../../../../src/standby/drill/portions.ts';

const file = (path: string, bytes: number) => ({ path, bytes });

test('files are copied together up to a size, in their order, and a larger one alone', () => {
  const files = [file('a', 4), file('b', 6), file('c', 1), file('big', 30), file('d', 0), file('e', 10)];
  expect(portionsOf(files, 10)).toEqual([
    { paths: ['a', 'b'], bytes: 10 },
    { paths: ['c'], bytes: 1 },
    { paths: ['big'], bytes: 30 },
    { paths: ['d', 'e'], bytes: 10 },
  ]);
});

test('no files make no portion', () => {
  expect(portionsOf([], 10)).toEqual([]);
});
