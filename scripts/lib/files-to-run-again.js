// Usage: files-to-run-again.js REPORT
// Prints the test files of vitest's JSON report that are worth a second run, one a line.
import { readFileSync } from 'node:fs';
import { filesToRunAgain } from './second-run.js';

for (const file of filesToRunAgain(JSON.parse(readFileSync(process.argv[2], 'utf8')))) console.log(file);
