// The second run of the few program tests that failed, alone: on a small machine four files at once press each other.
// `scripts/test --again` decides by it, and names each test that passed only then.
import { failuresOf, shortName } from './failures.js';

/** More failed files than these are no matter of chance. */
const most = 6;

const againOf = (part) => `again-${part}`;

/** The test files of a report that are worth a second run: those that failed, if they are few. */
export function filesToRunAgain({ testResults }) {
  const files = testResults.filter((file) => failuresOf(file).length > 0).map(({ name }) => shortName(name));
  return files.length > most ? [] : files;
}

/**
 * Puts the second run of a file into the place of its failed first one. `named` are pairs of a part's name and its report; the
 * result has the `reports` that decide, the `failedParts` that remain failed, and the first runs that were `replaced`.
 */
export function withSecondRuns(named, failedParts) {
  const second = new Map(named.filter(([part]) => part.startsWith('again-')));
  const first = named.filter(([part]) => !second.has(part));
  const merged = first.map(([part, report]) => mergedWith(part, report, second.get(againOf(part))));
  const settled = new Set(
    merged
      .filter(({ report, replaced }) => replaced.length > 0 && report.numFailedTests === 0)
      .filter(({ report }) => report.testResults.every((file) => failuresOf(file).length === 0))
      .map(({ part }) => part),
  );
  return {
    reports: merged.map(({ part, report }) => [part, report]),
    failedParts: failedParts.filter((part) => !settled.has(part)),
    replaced: merged
      .filter(({ replaced }) => replaced.length > 0)
      .map(({ part, replaced }) => [part, { testResults: replaced }]),
  };
}

function mergedWith(part, report, again) {
  if (again === undefined) return { part, report, replaced: [] };
  const runs = new Map(again.testResults.map((file) => [shortName(file.name), file]));
  const hasFailed = (file) => failuresOf(file).length > 0;
  // A file that was not run to its end the second time keeps its failure.
  const isReplaced = (file) =>
    hasFailed(file) && (runs.get(shortName(file.name))?.assertionResults.length ?? 0) > 0;
  const testResults = report.testResults.map((file) =>
    isReplaced(file) ? runs.get(shortName(file.name)) : file,
  );
  const count = (...statuses) =>
    testResults.flatMap((file) => file.assertionResults).filter(({ status }) => statuses.includes(status))
      .length;
  return {
    part,
    report: {
      ...report,
      testResults,
      numPassedTests: count('passed'),
      numFailedTests: count('failed'),
      numPendingTests: count('pending', 'skipped'),
      numTodoTests: count('todo'),
    },
    replaced: report.testResults.filter(isReplaced),
  };
}
