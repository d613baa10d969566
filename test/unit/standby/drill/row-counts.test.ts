import { expect, test } from 'vitest';
import { compareCounts } from '../../../../src/standby/drill/row-counts.ts';

const counts = (a: string, b?: string): ReadonlyMap<string, string> =>
  new Map([['public.a', a], ...(b === undefined ? [] : [['public.b', b] as const])]);

test('tables that stayed the same on the standby must be the same in the copy', () => {
  expect(compareCounts(counts('1', '2'), counts('1', '2'), counts('1', '2'))).toMatchObject({
    result: 'passed',
    detail: '2 tables have as many rows as on the standby',
  });
  expect(compareCounts(counts('1', '2'), counts('1'), counts('1', '2'))).toMatchObject({
    result: 'failed',
    detail: 'public.b has 2 rows on the standby, and ? in the copy',
  });
});

test('a table that changed meanwhile is not judged', () => {
  expect(compareCounts(counts('1', '2'), counts('1', '9'), counts('1', '3'))).toMatchObject({
    result: 'passed',
    detail: '1 tables have as many rows as on the standby; 1 others changed meanwhile',
  });
  expect(compareCounts(counts('1'), counts('5'), counts('2')).result).toBe('not checked');
});

test('what could not be asked is not taken for good', () => {
  expect(compareCounts('no answer', counts('1'), counts('1'))).toMatchObject({ result: 'not checked' });
  expect(compareCounts(counts('1'), counts('1'), 'no answer')).toMatchObject({ result: 'not checked' });
  expect(compareCounts(counts('1'), 'no answer', counts('1'))).toMatchObject({ result: 'failed' });
});
