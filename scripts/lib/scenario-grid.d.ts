/** The lines of PostgreSQL's grid; none where no test shows a scenario. */
export function gridOf(reports: readonly object[]): string[];
/** The lines of Node.js's grid, of pairs of a version and the report of what ran under it. */
export function nodeGridOf(reports: readonly (readonly [number, object])[]): string[];
