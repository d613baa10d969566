/**
 * What every major release goes through. A test says which of these it shows, and `scripts/test` makes a grid of versions by
 * scenarios of the results: `test('…', shows('failover'), async () => { … })`. The version is the one in the test's full name.
 */
const scenarios = [
  'archive',
  'base backup',
  'warm standby',
  'streaming standby',
  'failover',
  'recovery to a target',
  'tablespaces',
  'cleanup',
  'promoted primary',
  'chain of failovers',
  'segment size 1 MB',
  'segment size 64 MB',
  'checksums on',
  'checksums off',
  'version mix-ups',
] as const;

export type Scenario = (typeof scenarios)[number];

interface Shown {
  readonly name: Scenario;
  /** Its row in the grid. */
  readonly order: number;
}

declare module '@vitest/runner' {
  interface TaskMeta {
    scenarios?: readonly Shown[];
  }
}

/** Options for `test`. */
export function shows(...names: readonly Scenario[]) {
  return { meta: { scenarios: names.map((name) => ({ name, order: scenarios.indexOf(name) })) } };
}
