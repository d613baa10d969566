// Writes the samples, the option reference and the page of the command lines from the tables in src. Run it by `npm run docs`,
// which builds first.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath, URL } from 'node:url';
import { renderGeneratedFiles } from '../dist/config/render.js';

const root = new URL('..', import.meta.url);

function helpOf(program, ...topic) {
  const path = fileURLToPath(new URL(`bin/${program}`, root));
  return `\`\`\`\n${execFileSync(path, ['--help', ...topic], { encoding: 'utf8' })}\`\`\`\n`;
}

function commandLinePage() {
  const sections = ['cmd_archiver', 'cmd_standby'].map(
    (program) => `## ${program}\n\n${helpOf(program, 'all')}\nWithout \`all\`:\n\n${helpOf(program)}`,
  );
  const head =
    '# Command lines\n\nWhat `--help all` and `--help` print. This page is made by `npm run docs`; a test keeps it equal.\n';
  return [head, ...sections].join('\n');
}

for (const [path, text] of [...renderGeneratedFiles(), ['doc/command-line.md', commandLinePage()]]) {
  await writeFile(new URL(path, root), text);
  console.log(`wrote ${path}`);
}
