// Puts execa into dist/system/command.js, the one module that imports it. Node reads execa's hundred files in 70 ms,
// and this one in a third of that. PostgreSQL waits for that time whenever the shell alone cannot answer
// archive_command. Part of `npm run build`; if the bundler does not run, execa is read from node_modules as before.
import { fileURLToPath, URL } from 'node:url';

const door = fileURLToPath(new URL('../dist/system/command.js', import.meta.url));

try {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({ input: door, platform: 'node' });
  await bundle.write({ file: door, format: 'esm' });
} catch (error) {
  console.error(
    `not bundled, which only costs time: ${error instanceof Error ? error.message : String(error)}`,
  );
}
