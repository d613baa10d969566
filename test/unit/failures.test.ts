import { expect, test } from 'vitest';
import { failureLines } from '../../scripts/lib/failures.js';

const file = (name: string, status: string, message: string, ...assertionResults: object[]) => ({
  name,
  status,
  message,
  assertionResults,
});

test('the end of a run names each failed test with the beginning of its message', () => {
  const report = {
    testResults: [
      file(
        '/x/checkout/test/programs/ping.test.ts',
        'failed',
        '',
        { fullName: ' answers', status: 'passed' },
        {
          fullName: ' refuses',
          status: 'failed',
          failureMessages: [
            '\u001B[31mError: no\u001B[39m\n    at f (/x/node_modules/y.js:1)\n    at g (/x/test/a.ts:2)',
          ],
        },
      ),
      file('/x/checkout/test/programs/tour.test.ts', 'failed', 'cannot be loaded'),
      file('/x/checkout/test/programs/help.test.ts', 'passed', ''),
    ],
  };
  expect(failureLines([['programs', report]])).toEqual([
    'programs: test/programs/ping.test.ts > refuses',
    '    Error: no',
    '        at g (/x/test/a.ts:2)',
    'programs: test/programs/tour.test.ts',
    '    cannot be loaded',
  ]);
});

test('a long message and many failures are cut', () => {
  const message = Array.from({ length: 40 }, (_, line) => `line ${String(line)}`).join('\n');
  const failed = (name: number) => ({ fullName: String(name), status: 'failed', failureMessages: [message] });
  const testResults = [
    file('test/a.test.ts', 'failed', '', ...Array.from({ length: 25 }, (_, name) => failed(name))),
  ];
  const lines = failureLines([['programs', { testResults }]]);
  expect(lines.slice(0, 14)).toEqual([
    'programs: test/a.test.ts > 0',
    ...Array.from({ length: 12 }, (_, line) => `    line ${String(line)}`),
    '    …',
  ]);
  expect(lines.at(-1)).toBe('and 5 more');
  expect(lines).toHaveLength(20 * 14 + 1);
});
