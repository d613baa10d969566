import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { archiverOptions, standbyTargetOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';

const root = join(import.meta.dirname, '..', '..', '..');

type Program = 'cmd_archiver' | 'cmd_standby';

const keysOf: Readonly<Record<Program, ReadonlySet<string>>> = {
  cmd_archiver: new Set([...Object.keys(archiverOptions), ...Object.keys(standbyTargetOptions)]),
  cmd_standby: new Set(Object.keys(standbyOptions)),
};

const both: readonly Program[] = ['cmd_archiver', 'cmd_standby'];

/** Pages that speak of one program alone. Those that lead through both name the INI file first; the others may mean either. */
const subjects: Readonly<Record<string, readonly Program[]>> = {
  'shipping.md': ['cmd_archiver'],
  'base-backup.md': ['cmd_standby'],
  'recovery.md': ['cmd_standby'],
  'streaming.md': ['cmd_standby'],
  'versions.md': ['cmd_standby'],
  'cmd_archiver.ini.sample': ['cmd_archiver'],
  'cmd_standby.ini.sample': ['cmd_standby'],
};
const walkthroughs = ['how-to.md', 'README.md', 'reference.md'];

/** Of files of other programs, such as patroni.yml, of the sentinel, and of what `--wal` prints. */
const otherWords = new Set([
  'vacuumdb',
  'config_dir',
  'diverged',
  'ini',
  'keep_data',
  'key',
  'left',
  'missing',
  'program',
  'unusable',
  'verify',
]);

/** `key:` as code in a sentence, and the INI file that is spoken of from there on. */
const inSentence = /`([a-z][a-z_]+):(?: [^`\n]*)?`|(cmd_(?:archiver|standby))\.ini\b/g;
/** A line of an INI file, in a sample also one that is commented out. */
const inFile = /^;?([a-z][a-z_]+): ?\S/g;

interface Wrong {
  readonly key: string;
  readonly line: number;
}

type Mention = { readonly key: string; readonly line: number } | { readonly program: Program };

function mentionsIn(file: string, text: string): readonly Mention[] {
  const isSample = file.endsWith('.sample');
  let fence: string | undefined;
  return text.split('\n').flatMap((content, index) => {
    if (content.startsWith('```')) fence = fence === undefined ? content.slice(3) : undefined;
    // A block with the name of another language is no INI file.
    const isFile = isSample || (fence !== undefined && ['', 'ini'].includes(fence));
    const found = [...content.matchAll(inSentence), ...(isFile ? content.matchAll(inFile) : [])];
    return found.map(([, key = '', program]) =>
      program === undefined ? { key, line: index + 1 } : { program: program as Program },
    );
  });
}

/** Keys in a text that no INI file of the program has which it speaks of there. */
function wrongKeys(file: string, text: string): readonly Wrong[] {
  let programs = subjects[file] ?? both;
  const wrong: Wrong[] = [];
  for (const found of mentionsIn(file, text)) {
    if ('program' in found) {
      if (walkthroughs.includes(file)) programs = [found.program];
      continue;
    }
    const isKnown = programs.some((program) => keysOf[program].has(found.key));
    if (!isKnown && !otherWords.has(found.key)) wrong.push(found);
  }
  return wrong;
}

const files = [
  'README.md',
  ...readdirSync(join(root, 'doc')).flatMap((name) => (name.endsWith('.md') ? [`doc/${name}`] : [])),
  ...readdirSync(join(root, 'etc')).flatMap((name) => (name.endsWith('.ini.sample') ? [`etc/${name}`] : [])),
];

describe('the keys in the documentation', () => {
  test.each(files)('are keys of the right program: %s', (file) => {
    expect(wrongKeys(basename(file), readFileSync(join(root, file), 'utf8'))).toEqual([]);
  });

  test('are many', () => {
    const count = (file: string) => mentionsIn(file, readFileSync(join(root, file), 'utf8')).length;
    expect(files.map(count).reduce((sum, one) => sum + one, 0)).toBeGreaterThan(200);
  });
});

test('an unknown key, or a key of the other program, is found with its line', () => {
  const text =
    'In `cmd_standby.ini`:\n\n```ini\nrsync: /usr/bin/rsync\nrsync_bin: /usr/bin/rsync\n```\nor `pg_clt:`.\n';
  expect(wrongKeys('how-to.md', text)).toEqual([
    { key: 'rsync_bin', line: 5 },
    { key: 'pg_clt', line: 7 },
  ]);
  expect(wrongKeys('shipping.md', 'with `queue_max: 50GB` and `r_psql:`')).toEqual([
    { key: 'r_psql', line: 1 },
  ]);
});
