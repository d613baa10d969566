// Writes the samples and the option reference from the tables in src/config. Run it by `npm run docs`, which builds first.
import { writeFile } from 'node:fs/promises';
import { URL } from 'node:url';
import { renderGeneratedFiles } from '../dist/config/render.js';

const root = new URL('..', import.meta.url);
for (const [path, text] of renderGeneratedFiles()) {
  await writeFile(new URL(path, root), text);
  console.log(`wrote ${path}`);
}
