// Usage: sum-reports.js DIRECTORY [FAILED_PART...]
// Adds up the reports of vitest in DIRECTORY/*.json: grids of PostgreSQL's and of Node.js's versions
// (node-VERSION.json) by the scenarios that the tests say they show (test/harness/scenarios.ts), the failed tests, and
// at the end one plain line with the result. Where a part was run again (again-PART.json), that decides.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failureLines } from './failures.js';
import { gridOf, nodeGridOf } from './scenario-grid.js';
import { withSecondRuns } from './second-run.js';

const [directory, ...ended] = process.argv.slice(2);
const all = readdirSync(directory)
  .filter((name) => name.endsWith('.json'))
  .map((name) => [name.replace(/\.json$/, ''), JSON.parse(readFileSync(join(directory, name), 'utf8'))]);
const { reports: named, failedParts, replaced } = withSecondRuns(all, ended);
const reports = named.map(([, report]) => report);
const ofNodes = named.flatMap(([name, report]) => {
  const version = /^node-(\d+)$/.exec(name)?.[1];
  return version === undefined ? [] : [[Number(version), report]];
});
const sum = (key) => reports.reduce((total, report) => total + report[key], 0);

const passed = sum('numPassedTests');
const skipped = sum('numPendingTests') + sum('numTodoTests');
// A part can fail without a failed test: a file that does not load, a lint error, or an error between tests.
const failed = Math.max(sum('numFailedTests'), failedParts.length);

for (const line of [...gridOf(reports), ...nodeGridOf(ofNodes)]) console.log(line);
if (replaced.length > 0) {
  console.log('failed at first; the files were run again, alone, and the second run counts:');
  for (const line of failureLines(replaced)) console.log(line);
}
for (const line of failureLines(named)) console.log(line);
if (failedParts.length > 0) console.log(`failed: ${failedParts.join(', ')}`);
if (passed === 0) console.log('no test was run');
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
