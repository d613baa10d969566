/** The lines of the grid; none where no test shows a scenario. */
export function gridOf(reports: readonly object[]): string[];
