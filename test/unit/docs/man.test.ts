import { describe, expect, test } from 'vitest';
import { renderManPages } from '../../../scripts/lib/docs/render-man.ts';
import { blocksOf, literal, renderSection } from '../../../scripts/lib/docs/roff.ts';
import { flags as archiverFlags } from '../../../src/archiver/usage.ts';
import { archiverOptions, standbyTargetOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { exitCodes } from '../../../src/errors.ts';
import type { FlagTable } from '../../../src/help.ts';
import { flags as standbyFlags } from '../../../src/standby/usage.ts';

const pages = renderManPages({ version: '1.2.3-x', day: '2026-01-31' });
const page = (name: string) => pages.get(name) ?? '';

describe('the manual pages', () => {
  test.each<[string, FlagTable]>([
    ['cmd_archiver.1', archiverFlags],
    ['cmd_standby.1', standbyFlags],
  ])('%s has every option that --help all shows, and every exit status', (name, flags) => {
    const text = page(name);
    for (const [task, names] of Object.values(flags)) {
      const long = literal(/--[\w-]+/.exec(names)?.[0] ?? '');
      if (task !== 'hidden')
        expect(text).toMatch(new RegExp(`^\\.TP\\n.*${long.replaceAll('\\', '\\\\')}\\b`, 'm'));
      else expect(text).not.toContain(long);
    }
    for (const code of Object.values(exitCodes)) expect(text).toContain(`\n.TP\n\\fB${code}\\fR\n`);
  });

  test.each([
    ['cmd_archiver.ini.5', { ...archiverOptions, ...standbyTargetOptions }],
    ['cmd_standby.ini.5', standbyOptions],
  ])('%s has every key', (name, table) => {
    for (const key of Object.keys(table)) expect(page(name)).toContain(`\n.TP\n\\fB${key}\\fR\n`);
  });

  test.each([...pages])('%s is plain ASCII, and no text looks like a request', (_, text) => {
    expect(text).toMatch(/^\.TH [A-Z_.]+ [15] 2026-01-31 "pitrtools 1\.2\.3\\-x" pitrtools\n/);
    const requests = new Set(
      text.split('\n').flatMap((line) => (/^[.']/.test(line) ? [line.split(' ')[0]] : [])),
    );
    const known = ['.TH', '.SH', '.SS', '.PP', '.TP', '.IP', '.EX', '.EE', '.B', '.BR'];
    expect([...requests].filter((one) => !known.includes(one ?? ''))).toEqual([]);
    expect(text).toMatch(/^[\n\x20-\x7e]*$/);
  });
});

test('Markdown becomes roff: code, flags, links, lists, lines, and what roff would misread', () => {
  const text =
    "## Left out\n\n.dot and `-C C:\\dir` or --dry-run … [page](page.md#a), **bold**, well-known é\n'quoted\n\n- one\n  two\n- three\n\n### Part `x`\n\nFirst\n\n```sh\n.x -y '~'\n```\n";
  expect(renderSection('TITLE', blocksOf(text)).join('\n')).toBe(
    [
      '.SH TITLE',
      '\\&.dot and \\fB\\-C C:\\edir\\fR or \\-\\-dry\\-run ... page (doc/page.md#a),',
      "\\fBbold\\fR, well-known \\[u00E9] 'quoted",
      '.IP \\(bu 2',
      'one two',
      '.IP \\(bu 2',
      'three',
      '.SS Part x',
      'First',
      '.PP',
      '.EX',
      '\\&.x \\-y \\(aq\\(ti\\(aq',
      '.EE',
    ].join('\n'),
  );
});
