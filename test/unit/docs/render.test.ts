import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderGeneratedFiles } from '../../../scripts/lib/docs/render.ts';
import { renderArchiverSample, renderStandbySample } from '../../../scripts/lib/docs/render-sample.ts';
import { asSentence, wrapText } from '../../../scripts/lib/docs/render-text.ts';
import { parseArchiverConfig } from '../../../src/config/load-archiver.ts';
import { parseStandbyConfig } from '../../../src/config/load-standby.ts';
import { archiverOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { exitCodes } from '../../../src/errors.ts';
import { problemsOf } from '../config/fixtures.ts';

const root = new URL('../../../', import.meta.url);
const files = [...renderGeneratedFiles()];

describe('a generated file', () => {
  it.each(files)('agrees with the tables, otherwise npm run docs must be run: %s', (path, text) => {
    expect(readFileSync(new URL(path, root), 'utf8')).toBe(text);
  });
});

/** Puts every commented key and section of a sample into force. */
function uncomment(sample: string): string {
  return sample.replace(/^;(?=[\w[/])/gm, '');
}

describe('a sample INI file', () => {
  it('loads unchanged', () => {
    expect(problemsOf(parseArchiverConfig(renderArchiverSample()))).toEqual([]);
    expect(problemsOf(parseStandbyConfig(renderStandbySample()))).toEqual([]);
  });

  it('loads with every line uncommented', () => {
    expect(problemsOf(parseArchiverConfig(uncomment(renderArchiverSample())))).toEqual([]);
    expect(problemsOf(parseStandbyConfig(uncomment(renderStandbySample())))).toEqual([]);
  });

  it('contains every key once', () => {
    const samples = [
      [renderArchiverSample().split('[bitarena-clone]')[0] ?? '', archiverOptions],
      [renderStandbySample(), standbyOptions],
    ] as const;
    for (const [sample, table] of samples) {
      const keys = [...uncomment(sample).matchAll(/^(\w+): /gm)].map((match) => match[1]);
      expect(keys).toEqual(Object.keys(table));
    }
  });

  it('has lines that fit on a terminal', () => {
    const lines = [renderArchiverSample(), renderStandbySample()].join('\n').split('\n');
    expect(lines.filter((line) => line.length > 96)).toEqual([]);
  });
});

describe('the reference', () => {
  const reference = renderGeneratedFiles().get('doc/reference.md') ?? '';

  it('contains every key and every exit code', () => {
    for (const key of [...Object.keys(archiverOptions), ...Object.keys(standbyOptions)]) {
      expect(reference).toContain(`| \`${key}\` |`);
    }
    for (const code of Object.values(exitCodes)) expect(reference).toContain(`\n| ${code} | `);
  });

  it('has three cells in every row of an option table', () => {
    const rows = reference.split('\n').filter((line) => line.startsWith('| `') && !line.startsWith('| `--'));
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(5);
  });
});

describe('a text for the documentation', () => {
  it('is wrapped at blanks, and a long word has a line of its own', () => {
    expect(wrapText('one two three abcdefghijklmnop four', 9)).toEqual([
      'one two',
      'three',
      'abcdefghijklmnop',
      'four',
    ]);
  });

  it.each([
    ['the port', 'The port.'],
    ['rsync on this host', 'rsync on this host.'],
    ['libpq does', 'libpq does.'],
    ['2 when old', '2 when old.'],
    ['pg_ctl here', 'pg_ctl here.'],
  ])('becomes a sentence: %j is %j', (text, sentence) => {
    expect(asSentence(text)).toBe(sentence);
  });
});
