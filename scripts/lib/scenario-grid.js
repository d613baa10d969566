// The grid of PostgreSQL's versions by scenarios, out of vitest's JSON reports. A cell is "ok" when every test passed that
// shows the scenario on that version, "FAILED" when one did not, and "-" when none ran.

/** One entry for each scenario that a test shows: which one, on which version, and whether the test passed. */
function* cellsOf(reports) {
  for (const { testResults } of reports) {
    for (const { assertionResults } of testResults) {
      for (const { fullName, status, meta } of assertionResults) {
        const version = /PostgreSQL (\d+)/.exec(fullName)?.[1];
        if (version === undefined || !['passed', 'failed'].includes(status)) continue;
        for (const { name, order } of meta?.scenarios ?? [])
          yield { name, order, version: Number(version), passed: status === 'passed' };
      }
    }
  }
}

/** The lines of the grid; none where no test shows a scenario. */
export function gridOf(reports) {
  const rows = new Map();
  const versions = new Set();
  for (const { name, order, version, passed } of cellsOf(reports)) {
    const row = rows.get(name) ?? { name, order, cells: new Map() };
    rows.set(name, row);
    row.cells.set(version, (row.cells.get(version) ?? true) && passed);
    versions.add(version);
  }
  if (rows.size === 0) return [];
  const columns = [...versions].sort((a, b) => a - b);
  const width = Math.max(...['PostgreSQL', ...rows.keys()].map((name) => name.length));
  const line = (name, cells) => [name.padEnd(width), ...cells.map((cell) => cell.padStart(6))].join(' ');
  const words = { true: 'ok', false: 'FAILED' };
  return [
    '',
    line('PostgreSQL', columns.map(String)),
    ...[...rows.values()]
      .sort((a, b) => a.order - b.order)
      .map(({ name, cells }) =>
        line(
          name,
          columns.map((version) => words[cells.get(version)] ?? '-'),
        ),
      ),
    '',
  ];
}
