// Two grids out of vitest's JSON reports: PostgreSQL's versions by scenarios, and Node.js's versions by scenarios. A cell is "ok" when
// every test passed that shows the scenario on that version, "FAILED" when one did not, and "-" when none ran.

/** One entry for each scenario that a test of this report shows: which one, on which PostgreSQL, and whether the test passed. */
function* scenariosOf({ testResults }) {
  for (const { assertionResults } of testResults) {
    for (const { fullName, status, meta } of assertionResults) {
      if (!['passed', 'failed'].includes(status)) continue;
      const version = /PostgreSQL (\d+)/.exec(fullName)?.[1];
      for (const { name, order } of meta?.scenarios ?? [])
        yield { name, order, passed: status === 'passed', postgres: version && Number(version) };
    }
  }
}

/** The lines of PostgreSQL's grid; none where no test shows a scenario. */
export function gridOf(reports) {
  const cells = reports
    .flatMap((report) => [...scenariosOf(report)])
    .filter(({ postgres }) => postgres !== undefined)
    .map(({ postgres, ...cell }) => ({ ...cell, version: postgres }));
  return linesOf('PostgreSQL', cells);
}

/** The lines of Node.js's grid, of pairs of a version and the report of what ran under it. */
export function nodeGridOf(reports) {
  const cells = reports.flatMap(([version, report]) =>
    [...scenariosOf(report)].map((cell) => ({ ...cell, version })),
  );
  return linesOf('Node.js', cells);
}

function linesOf(title, cells) {
  const rows = new Map();
  const versions = new Set();
  for (const { name, order, version, passed } of cells) {
    const row = rows.get(name) ?? { name, order, cells: new Map() };
    rows.set(name, row);
    row.cells.set(version, (row.cells.get(version) ?? true) && passed);
    versions.add(version);
  }
  if (rows.size === 0) return [];
  const columns = [...versions].sort((a, b) => a - b);
  const width = Math.max(...[title, ...rows.keys()].map((name) => name.length));
  const line = (name, cells) => [name.padEnd(width), ...cells.map((cell) => cell.padStart(6))].join(' ');
  const words = { true: 'ok', false: 'FAILED' };
  return [
    '',
    line(title, columns.map(String)),
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
