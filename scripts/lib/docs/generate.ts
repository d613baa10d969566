// Writes the samples, the option reference and the page of the command lines from the tables in src, in the checkout that is the
// working directory. Run it by `npm run docs`, which builds first.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { renderGeneratedFiles } from './render.ts';

function helpOf(program: string, ...topic: readonly string[]): string {
  return `\`\`\`\n${execFileSync(`bin/${program}`, ['--help', ...topic], { encoding: 'utf8' })}\`\`\`\n`;
}

function commandLinePage(): string {
  const sections = ['cmd_archiver', 'cmd_standby'].map(
    (program) => `## ${program}\n\n${helpOf(program, 'all')}\nWithout \`all\`:\n\n${helpOf(program)}`,
  );
  const head =
    '# Command lines\n\nWhat `--help all` and `--help` print. A program that is called without `-C`, from a package or from a checkout, uses its INI file in `/etc/pitrtools` if there is one. This page is made by `npm run docs`; a test keeps it equal.\n';
  return [head, ...sections].join('\n');
}

for (const [path, text] of [...renderGeneratedFiles(), ['doc/command-line.md', commandLinePage()] as const]) {
  await writeFile(path, text);
  console.log(`wrote ${path}`);
}
