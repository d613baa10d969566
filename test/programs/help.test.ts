import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { run } from '../harness/processes.ts';

const page = readFileSync(checkout('doc', 'command-line.md'), 'utf8');

test.each(['cmd_archiver', 'cmd_standby'])(
  'the documentation shows what %s --help prints',
  async (program) => {
    const result = await run(checkout('bin', program), ['--help']);
    expect(result.code).toBe(0);
    expect(page).toContain(`## ${program}\n\n\`\`\`\n${result.stdout}\`\`\`\n`);
  },
);
