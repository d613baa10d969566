import { describe, expect, test } from 'vitest';
import { namedAmong, parseSynchronousNames } from '../../../src/postgres/synchronous-names.ts';

describe('synchronous_standby_names', () => {
  test.each([
    ['', 0, []],
    [' \n', 0, []],
    ['a', 1, ['a']],
    ['a, "B c"', 1, ['a', 'B c']],
    ['*', 1, ['*']],
    // Up to 9.5 without quotes.
    ['host-a,10.0.0.1', 1, ['host-a', '10.0.0.1']],
    ['2 (a, b)', 2, ['a', 'b']],
    ['2(a,b)', 2, ['a', 'b']],
    ['FIRST 1 (*)', 1, ['*']],
    ['first 2 ("x, y", "any")', 2, ['x, y', 'any']],
    ['ANY 2 ("x",y , z)', 2, ['x', 'y', 'z']],
    // Quotes in a name, parentheses in a name.
    ['ANY 1 ("say ""x"" (y)")', 1, ['say "x" (y)']],
    // Standbys of these names.
    ['any, first', 1, ['any', 'first']],
    ['"any"', 1, ['any']],
  ])('%j waits for %i of %j', (text, count, names) => {
    expect(parseSynchronousNames(text)).toEqual({ count, names });
  });

  test.each(['a,', ',a', 'a b', '2 (a', '2 ()', 'ANY (a)', 'x 2 (a)', '"a', '2 (a, b) c', 'FIRST a (b)'])(
    '%j is refused, as by the server',
    (text) => {
      expect(parseSynchronousNames(text)).toBeUndefined();
    },
  );

  test('names standbys without regard to case', () => {
    expect(namedAmong({ count: 1, names: ['HostA', 'c'] }, ['hosta', 'b', 'C'])).toEqual(['hosta', 'C']);
    expect(namedAmong({ count: 1, names: ['*'] }, ['a', 'b'])).toEqual(['a', 'b']);
  });
});
