/** One of vitest's JSON reports, as far as it is read here. */
interface Report {
  readonly numPassedTests?: number;
  readonly numFailedTests?: number;
  readonly testResults: readonly object[];
}

type Named = readonly (readonly [string, Report])[];

/** The test files of a report that are worth a second run: those that failed, if they are few. */
export function filesToRunAgain(report: Report): string[];

/** Puts the second run of a file into the place of its failed first one. */
export function withSecondRuns(
  named: Named,
  failedParts: readonly string[],
): { readonly reports: Named; readonly failedParts: string[]; readonly replaced: Named };
