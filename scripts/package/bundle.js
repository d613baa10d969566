// Usage: node scripts/package/bundle.js DIRECTORY
//
// Writes both programs with everything that they import into DIRECTORY, so that an installed package needs no other.
// Lazy imports stay files of their own, because archive_command must not read code that it does not use. The licences
// of the bundled packages are written beside them.
import { readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath, URL } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));
const [target] = process.argv.slice(2);
if (target === undefined) throw new Error('usage: bundle.js DIRECTORY');

// The worker is started by its path, so it keeps a file of its own.
const entries = {
  'cmd-archiver': join(root, 'dist/cmd-archiver.js'),
  'cmd-standby': join(root, 'dist/cmd-standby.js'),
  worker: await findOne(join(root, 'dist/standby'), 'worker.js'),
};
const bundle = await rolldown({
  input: entries,
  platform: 'node',
  // An optional add-on of pg that is compiled on the spot: pg loads it only on request.
  external: ['pg-native'],
});
const { output } = await bundle.write({
  dir: target,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
});
await writeFile(
  join(target, 'LICENSES'),
  await licencesOf(packagesIn(output.flatMap((chunk) => chunk.moduleIds ?? []))),
);

async function findOne(directory, name) {
  const found = (await readdir(directory, { recursive: true })).filter((file) => basename(file) === name);
  if (found.length !== 1) throw new Error(`${found.length} files named ${name} below ${directory}, not one`);
  return join(directory, found[0]);
}

// dist/system/command.js contains execa already (scripts/bundle-execa.js), so execa's packages are read from its own list.
function packagesIn(moduleIds) {
  const marker = '/node_modules/';
  const names = moduleIds
    .filter((id) => id.includes(marker))
    .map((id) => {
      const [first, second] = id.slice(id.lastIndexOf(marker) + marker.length).split('/');
      return join(
        id.slice(0, id.lastIndexOf(marker) + marker.length),
        first.startsWith('@') ? `${first}/${second}` : first,
      );
    });
  return [...new Set([...names, ...execaPackages()])].sort();
}

function execaPackages() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const wanted = new Set();
  const visit = (name) => {
    const path = `node_modules/${name}`;
    if (wanted.has(path) || lock.packages[path] === undefined) return;
    wanted.add(path);
    Object.keys(lock.packages[path].dependencies ?? {}).forEach(visit);
  };
  visit('execa');
  return [...wanted].map((path) => join(root, path));
}

async function licencesOf(directories) {
  const parts = await Promise.all(
    directories.map(async (directory) => {
      const manifest = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8'));
      const file = (await readdir(directory)).find((name) => /^licen[cs]e(\.|$)/i.test(name));
      const text =
        file === undefined
          ? `(${String(manifest.license)}; the package has no licence file)`
          : await readFile(join(directory, file), 'utf8');
      return `${manifest.name} ${manifest.version} (${String(manifest.license)})\n\n${text.trim()}\n`;
    }),
  );
  return parts.join(`\n${'-'.repeat(72)}\n\n`);
}
