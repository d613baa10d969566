// Usage: node man.js VERSION DAY DIRECTORY
//
// Writes the manual pages into DIRECTORY. scripts/package/build bundles and runs it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderManPages } from './render-man.ts';

const [version, day, directory] = process.argv.slice(2);
if (version === undefined || day === undefined || directory === undefined)
  throw new Error('usage: man.js VERSION DAY DIRECTORY');
for (const [name, text] of renderManPages({ version, day })) await writeFile(join(directory, name), text);
