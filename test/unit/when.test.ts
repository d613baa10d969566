import { expect, test } from 'vitest';
import { whenText } from '../../src/when.ts';

test.each([
  ['UTC', '2026-11-28 23:20:01 UTC'],
  ['Europe/London', '2026-11-28 23:20:01 UTC'],
  ['Europe/Berlin', '2026-11-28 23:20:01 UTC (2026-11-29 00:20:01+01)'],
  ['America/New_York', '2026-11-28 23:20:01 UTC (18:20:01-05)'],
])('a moment in %s is shown as %s', (zone, shown) => {
  expect(whenText('2026-11-28T23:20:01.987Z', zone)).toBe(shown);
});

test('a text that is no moment stays as it is', () => {
  expect(whenText('yesterday')).toBe('yesterday');
});
