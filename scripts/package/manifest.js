// Usage: node scripts/package/manifest.js PACKAGE.JSON [MANUAL-PAGE…]
//
// Prints the package.json of the packed program. Everything that it needs is bundled, so it depends on no package,
// builds nothing, and runs nothing at its installation. npm installs the manual pages.
import { readFile } from 'node:fs/promises';

const [source, ...man] = process.argv.slice(2);
if (source === undefined) throw new Error('usage: manifest.js PACKAGE.JSON [MANUAL-PAGE…]');
const { name, version, description, license, type, engines, os, bin } = JSON.parse(
  await readFile(source, 'utf8'),
);
console.log(
  JSON.stringify({ name, version, description, license, type, engines, os, bin, man }, undefined, 2),
);
