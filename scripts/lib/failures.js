// The failures in vitest's JSON reports as lines of text, for the end of a run: a log of thousands of lines is often
// kept by its end only.
import { stripVTControlCharacters } from 'node:util';

const shownFailures = 20;
const shownLines = 12;

/** For each failed test its part, file and name, with the first lines of what it said. `reports` are pairs of a part's name and its report. */
export function failureLines(reports) {
  const failures = reports.flatMap(([part, { testResults }]) =>
    testResults.flatMap((file) =>
      failuresOf(file).map((failure) => ({ part, file: shortName(file.name), ...failure })),
    ),
  );
  const lines = failures
    .slice(0, shownFailures)
    .flatMap(({ part, file, name, message }) => [
      `${part}: ${file}${name && ` > ${name}`}`,
      ...messageLines(message).map((line) => `    ${line}`),
    ]);
  const left = failures.length - shownFailures;
  return [...lines, ...(left > 0 ? [`and ${left} more`] : [])];
}

/** The failed tests of one file of a report, with what they said. */
export function failuresOf({ status, message, assertionResults }) {
  const failed = assertionResults
    .filter((result) => result.status === 'failed')
    .map(({ fullName, failureMessages }) => ({
      name: fullName.trim(),
      message: failureMessages?.join('\n') ?? '',
    }));
  // A file can fail by itself: it does not load, or a hook of all its tests fails.
  return failed.length === 0 && status === 'failed' ? [{ name: '', message: message ?? '' }] : failed;
}

/** A test file as the checkout names it. */
export function shortName(name = '') {
  return /(?:^|\/)(test\/.*)$/.exec(name)?.[1] ?? name;
}

function messageLines(message) {
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s+at .*node_modules/.test(line));
  return lines.length > shownLines ? [...lines.slice(0, shownLines), '…'] : lines;
}
