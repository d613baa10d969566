import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseRequest as parseArchiver } from '../../../src/archiver/command-line.ts';
import { usage as archiverUsage } from '../../../src/archiver/usage.ts';
import { splitWords } from '../../../src/config/command-words.ts';
import { refusedFlags } from '../../../src/config/rsync-flags.ts';
import type { Usage } from '../../../src/help.ts';
import { parseRequest as parseStandby } from '../../../src/standby/command-line.ts';
import { usage as standbyUsage } from '../../../src/standby/usage.ts';
import { checkout } from '../../harness/checkout.ts';

const pages = [
  'README.md',
  ...readdirSync(checkout('doc')).flatMap((name) => (name.endsWith('.md') ? [`doc/${name}`] : [])),
];

const textOf = (page: string) => readFileSync(checkout(page), 'utf8');

interface Line {
  /** `doc/how-to.md:80` */
  readonly at: string;
  readonly text: string;
}

interface Fenced {
  readonly language: string;
  readonly lines: readonly Line[];
}

function fencedIn(page: string, text: string): readonly Fenced[] {
  const blocks: { language: string; lines: Line[] }[] = [];
  let isOpen = false;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence !== null) {
      if (!isOpen) blocks.push({ language: fence[1] ?? '', lines: [] });
      isOpen = !isOpen;
    } else if (isOpen) blocks.at(-1)?.lines.push({ at: `${page}:${index + 1}`, text: line.trim() });
  }
  return blocks;
}

/** A line that ends with a backslash, together with those that continue it. */
function joined(lines: readonly Line[]): readonly Line[] {
  const whole: Line[] = [];
  let isContinued = false;
  for (const { at, text } of lines) {
    const bare = text.replace(/\\$/, '');
    const last = isContinued ? whole.pop() : undefined;
    whole.push(last === undefined ? { at, text: bare } : { at: last.at, text: `${last.text}${bare}` });
    isContinued = text.endsWith('\\');
  }
  return whole;
}

/** In a block without a language only lines behind a prompt, lines of a crontab, and archive_command are commands. */
function commandOf({ language }: Fenced, text: string): string | undefined {
  const shown = /^(?:[\w@.-]+(?::\S*)?[$#] |(?:[\d*/,-]+ +){5})(.*)/.exec(text)?.[1];
  if (language === 'sh') return shown ?? text;
  if (language !== '') return undefined;
  return shown ?? /^archive_command = '(.*)'$/.exec(text)?.[1];
}

/** Every simple command of a line: its words up to a redirection. */
function simpleCommands(line: string): readonly (readonly string[])[] {
  const split = splitWords(line.replace(/(^|\s)#.*$/, '').replaceAll(/\$\([^)]*\)/g, 'VALUE'));
  if (split.kind === 'problem') return [];
  const commands: string[][] = [[]];
  for (const word of split.words) {
    if (/^(?:&&|\|\|?|;)$/.test(word)) commands.push([]);
    else commands.at(-1)?.push(word.replace(/;$/, ''));
    if (word.endsWith(';')) commands.push([]);
  }
  return commands.map((words) => {
    const end = words.findIndex((word) => /^\d?[<>]/.test(word));
    return end === -1 ? words : words.slice(0, end);
  });
}

const parsers = { cmd_archiver: parseArchiver, cmd_standby: parseStandby } as const;

interface Call extends Line {
  readonly program: keyof typeof parsers;
  readonly args: readonly string[];
}

/** `sudo -u postgres` and assignments may come before. */
function callOf({ at, text }: Line, words: readonly string[]): readonly Call[] {
  const first = words.findIndex((word, index) => {
    const before = words.slice(0, index);
    return basename(word) in parsers && before.every((each) => /^(?:sudo|-u|\w+|\w+=.*)$/.test(each));
  });
  const program = basename(words[first] ?? '') as keyof typeof parsers;
  return first === -1 ? [] : [{ at, text, program, args: words.slice(first + 1) }];
}

/** A line that is indented by four blanks is code as well. Optional words stand in brackets there. */
function indentedIn(page: string, text: string): Fenced {
  const bare = text.replaceAll(/^\s*```[^]*?^\s*```/gm, (block) => block.replaceAll(/[^\n]/g, ''));
  const lines = bare.split('\n').flatMap((line, index) => {
    const code = /^ {4}((?:\S*\/)?cmd_(?:archiver|standby) -.*)/.exec(line)?.[1];
    return code === undefined ? [] : [{ at: `${page}:${index + 1}`, text: code.replaceAll(/[[\]]/g, '') }];
  });
  return { language: 'sh', lines };
}

function linesOf(page: string, text: string) {
  return [...fencedIn(page, text), indentedIn(page, text)].flatMap((block) =>
    joined(block.lines).flatMap(({ at, text: line }) => {
      const command = commandOf(block, line);
      return command === undefined ? [] : [{ at, text: command, language: block.language }];
    }),
  );
}

function callsIn(page: string, text: string): readonly Call[] {
  return linesOf(page, text).flatMap((line) =>
    simpleCommands(line.text).flatMap((words) => callOf(line, words)),
  );
}

/** Pages shorten the key; without -C a program takes a file that only a host with the package has. */
function completed(args: readonly string[]): readonly string[] {
  const key = `AAAAC3NzaC1lZDI1NTE5${'A'.repeat(48)}`;
  const words = args.map((word) => word.replace('AAAA…', key));
  return words.some((word) => /^(?:-C|--(?:config|help|version))/.test(word))
    ? words
    : ['-C', 'FILE', ...words];
}

function wrongCalls(page: string, text: string): readonly string[] {
  return callsIn(page, text).flatMap(({ at, program, args }) => {
    try {
      parsers[program](completed(args));
      return [];
    } catch (error) {
      return [`${at}: ${program} ${args.join(' ')}: ${String(error)}`];
    }
  });
}

/** Paths of the checkout in commands. The INI files are made by the operator from the samples. */
function wrongPaths(page: string, text: string): readonly string[] {
  return linesOf(page, text)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ at, text: line }) =>
      simpleCommands(line)
        .flat()
        .filter((word) => /^(?:bin|etc|scripts|doc|src|test)\/[\w./@-]+$/.test(word))
        .filter((path) => !/^etc\/cmd_(?:archiver|standby)\.ini$/.test(path) && !existsSync(checkout(path)))
        .map((path) => `${at}: ${path}`),
    );
}

const optionsOf = ({ flags, shared }: Usage): ReadonlySet<string> =>
  new Set([
    ...Object.values(flags).flatMap(([, names]) => names.match(/--?[a-zA-Z][\w-]*/g) ?? []),
    ...(shared.dryRun === undefined ? [] : ['--dry-run']),
    ...(shared.force === undefined ? [] : ['--force']),
    ...(shared.json === undefined ? [] : ['--json']),
    ...['-C', '--config', '--help', '--version', '-h'],
  ]);

const options = { cmd_archiver: optionsOf(archiverUsage), cmd_standby: optionsOf(standbyUsage) };
const rsyncOptions = [
  ...refusedFlags.flatMap(({ names }) => names.map((name) => `--${name}`)),
  ...['-z', '--block-size', '--compress-choice', '--ignore-times', '--rsync-path'],
];

/** In a sentence that names another program, an option may be that one's. */
const everyOption = new Set([
  ...options.cmd_archiver,
  ...options.cmd_standby,
  ...rsyncOptions,
  // pg_basebackup, ssh, pg_rewind
  ...['--max-rate', '-i', '-c'],
  ...optionsInText('scripts', 'bench'),
  ...optionsInText('bin', 'cmd_standby'),
]);

function optionsInText(...path: string[]): readonly string[] {
  return readFileSync(checkout(...path), 'utf8').match(/--[a-z][\w-]*/g) ?? [];
}

/** Options as code in sentences: those behind the name of a program, and those without any. */
function wrongOptions(page: string, text: string): readonly string[] {
  const prose = text.replaceAll(/^\s*```[^]*?^\s*```/gm, (block) => block.replaceAll(/[^\n]/g, ''));
  return [...prose.matchAll(/`(?:(cmd_archiver|cmd_standby) )?((?:--?[a-zA-Z]).*?)`/g)].flatMap(
    ([whole, program, words = '']) => {
      const known = program === undefined ? everyOption : options[program as keyof typeof options];
      const named = program === undefined ? words.split(/[\s=]/).slice(0, 1) : words.split(/[\s=]/);
      // -F999 and the like: the value follows the letter.
      const bare = named
        .filter((word) => /^--?[a-zA-Z][^…]*$/.test(word))
        .map((word) => word.replace(/^(-[a-zA-Z])\w.*/, '$1'));
      return bare.every((word) => known.has(word)) ? [] : [`${page}: ${whole}`];
    },
  );
}

/** The name that a heading gets in a link. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/[`*]/g, '')
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function anchorsIn(page: string): ReadonlySet<string> {
  return new Set([...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading)));
}

function wrongLinks(page: string, text: string): readonly string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [file = '', anchor] = target.split('#');
    const path = file === '' ? page : join(dirname(page), file);
    if (!existsSync(checkout(path))) return [`${page}: ${target}`];
    return anchor === undefined || anchorsIn(path).has(anchor) ? [] : [`${page}: ${target}`];
  });
}

describe.each(pages)('%s', (page) => {
  const text = textOf(page);

  test('has only commands that our programs understand, and paths that exist', () => {
    expect([...wrongCalls(page, text), ...wrongPaths(page, text)]).toEqual([]);
  });

  test('names only options that exist', () => {
    expect(wrongOptions(page, text)).toEqual([]);
  });

  test('links only to pages and headings that exist', () => {
    expect(wrongLinks(page, text)).toEqual([]);
  });
});

test('many commands are found', () => {
  expect(pages.flatMap((page) => callsIn(page, textOf(page))).length).toBeGreaterThan(60);
});

test('a mistake in each of them is found', () => {
  const page = `
\`\`\`sh
# a comment: cmd_archiver --nothing
sudo -u postgres bin/cmd_archiver -C /etc/cmd_archiver.ini --shipp   # no such option
cmd_standby -C FILE --follow && cmd_standby -C FILE -P > scripts/none
cp etc/none.sample etc/cmd_archiver.ini
\`\`\`

\`\`\`
alpha$ cmd_archiver -C FILE -I --flush
It says: cmd_archiver -C FILE --nothing
17 * * * * /usr/bin/cmd_standby -C FILE --clean
\`\`\`

    cmd_archiver -C FILE --statuss

With \`--nothing\`, \`cmd_archiver --switchover\`, \`-F999\` and \`--force=new-archive\`, [here](none.md#x).
`;
  expect(wrongCalls('p', page).map((wrong) => wrong.replace(/^(p:\d+: \w+).*/s, '$1'))).toEqual([
    'p:4: cmd_archiver',
    'p:5: cmd_standby',
    'p:10: cmd_archiver',
    'p:12: cmd_standby',
    'p:15: cmd_archiver',
  ]);
  expect(wrongPaths('p', page)).toEqual(['p:6: etc/none.sample']);
  expect(wrongOptions('p', page)).toEqual(['p: `--nothing`', 'p: `cmd_archiver --switchover`']);
  expect(wrongLinks('p', page)).toEqual(['p: none.md#x']);
});
