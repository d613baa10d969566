import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { archiverChecks } from '../../../src/archiver/check/checks.ts';
import type { Checks } from '../../../src/check/check.ts';
import { standbyChecks } from '../../../src/standby/check/checks.ts';

const text = readFileSync(new URL('../../../doc/check.md', import.meta.url), 'utf8');

/** The rows of the table in the section of this program. */
function tableOf(program: string): string[] {
  const section = text.split(`## \`${program} --check\``)[1]?.split('\n## ')[0] ?? '';
  return section.split('\n').filter((line) => line.startsWith('| `'));
}

test.each<[string, Checks<never>]>([
  ['cmd_archiver', archiverChecks],
  ['cmd_standby', standbyChecks],
])('doc/check.md has the checks of %s, in their order and words', (program, checks) => {
  expect(tableOf(program)).toEqual(
    Object.entries(checks).map(([name, { what }]) => `| \`${name}\` | ${what} |`),
  );
});
