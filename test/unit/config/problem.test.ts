import { expect, it } from 'vitest';
import { describeProblems } from '../../../src/config/problem.ts';

it('each problem gives one line, sorted by line, without repetitions', () => {
  const problems = [
    { line: 12, message: 'b' },
    { line: 2, message: 'a' },
    { line: 12, message: 'b' },
    { line: 12, message: 'c' },
  ];
  expect(describeProblems('etc/x.ini', problems)).toEqual([
    'etc/x.ini:2: a',
    'etc/x.ini:12: b',
    'etc/x.ini:12: c',
  ]);
});
