import { expect, test } from 'vitest';
import { againstOther, pairedRatio } from '../../scripts/lib/bench/pairs.ts';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test('fifteen pairs give the median of their ratios, and an interval from the fourth to the twelfth', () => {
  const ones = upTo(15).map(() => 1);
  expect(pairedRatio(upTo(15), ones)).toEqual({ pairs: 15, median: 8, interval: [4, 12] });
});

test('five pairs are too few for an interval, and six give their extremes', () => {
  expect(pairedRatio(upTo(5), upTo(5))).toEqual({ pairs: 5, median: 1, interval: undefined });
  expect(pairedRatio(upTo(6), [1, 1, 1, 1, 1, 1])?.interval).toEqual([1, 6]);
});

test('runs of which one has failed are no pair', () => {
  expect(pairedRatio([1, 2], [1])).toBeUndefined();
});

test('only a tool that the other checkout has run as well is compared', () => {
  const figures = { CPU: (name: string) => (name === 'shipper' ? [2, 2, 2] : [4, 4, 4]) };
  expect(againstOther(['shipper', 'rsync', 'shipper-against'], figures)).toBe(
    ' Medians of the ratios to the other checkout: shipper: CPU 0.500 (3 pairs).',
  );
  expect(againstOther(['shipper', 'rsync'], figures)).toBe('');
});
