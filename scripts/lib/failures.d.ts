/** The failures in vitest's JSON reports, as pairs of a part's name and its report, as lines of text. */
export function failureLines(reports: readonly (readonly [string, object])[]): string[];

/** A file in vitest's JSON report, as far as it is read here. */
interface ReportedFile {
  readonly name?: string;
  readonly status: string;
  readonly message?: string;
  readonly assertionResults: readonly object[];
}

/** The failed tests of one file of a report, with what they said. */
export function failuresOf(file: ReportedFile): { readonly name: string; readonly message: string }[];

/** A test file as the checkout names it. */
export function shortName(name?: string): string;
