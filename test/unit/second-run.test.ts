import { expect, test } from 'vitest';
import { filesToRunAgain, withSecondRuns } from '../../scripts/lib/second-run.js';

const file = (name: string, ...statuses: string[]) => ({
  name: `/x/checkout/test/programs/${name}.test.ts`,
  status: statuses.includes('failed') ? 'failed' : 'passed',
  assertionResults: statuses.map((status, number) => ({ fullName: `test ${String(number)}`, status })),
});

const report = (...testResults: ReturnType<typeof file>[]) => {
  const count = (wanted: string) =>
    testResults.flatMap((each) => each.assertionResults).filter(({ status }) => status === wanted).length;
  return {
    testResults,
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('skipped'),
    numTodoTests: 0,
  };
};

test('a few failed files are run again, many are not', () => {
  const first = report(file('ping', 'passed', 'failed'), file('tour', 'passed'));
  expect(filesToRunAgain(first)).toEqual(['test/programs/ping.test.ts']);
  const many = report(...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => file(name, 'failed')));
  expect(filesToRunAgain(many)).toEqual([]);
});

test('what passes in the second run counts as passed, once, and its first run is told', () => {
  const first = report(file('ping', 'passed', 'failed'), file('tour', 'passed', 'skipped'));
  const second = report(file('ping', 'passed', 'passed'));
  const { reports, failedParts, replaced } = withSecondRuns(
    [
      ['again-programs', second],
      ['programs', first],
    ],
    ['programs'],
  );
  expect(reports).toMatchObject([['programs', { numPassedTests: 3, numFailedTests: 0, numPendingTests: 1 }]]);
  expect(failedParts).toEqual([]);
  expect(replaced).toMatchObject([['programs', { testResults: [{ status: 'failed' }] }]]);
});

test('what fails twice fails, and so does a file that was not run to its end', () => {
  const first = report(file('ping', 'failed'), file('tour', 'failed'));
  const second = report(file('ping', 'failed'), file('tour'));
  const named = [
    ['programs', first],
    ['again-programs', second],
  ] as const;
  const { reports, failedParts } = withSecondRuns(named, ['programs', 'again-programs']);
  expect(reports).toMatchObject([['programs', { numFailedTests: 2 }]]);
  expect(failedParts).toEqual(['programs', 'again-programs']);
});

test('a part that failed without a failed test remains failed, and so does another part', () => {
  const first = report(file('ping', 'passed'));
  expect(withSecondRuns([['programs', first]], ['programs', 'check'])).toMatchObject({
    failedParts: ['programs', 'check'],
    replaced: [],
  });
});
