/** The failures in vitest's JSON reports, as pairs of a part's name and its report, as lines of text. */
export function failureLines(reports: readonly (readonly [string, object])[]): string[];
